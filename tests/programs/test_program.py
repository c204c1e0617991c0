"""What a program offers beside building: samples under its requirements, and bounds of its survey."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import symnas
from symnas.errors import AnnotationError, ProgramError
from symnas.programs.locator import locate, locator_of

NET = """
def net():
    a = 2    # search: 1..8
    b = 4    # search: 1..8{}
    if a * b > 8:
        c = 0    # search: {{0, 1}}
    return a * b
"""


def net(folder: Path, requirement: str = "", name: str = "net.py", **bounds: int) -> symnas.Program:
    file = folder / name
    file.write_text(NET.format(f" require {requirement}" if requirement else ""))
    return symnas.program(f"{file}:net", **bounds)


def test_samples_meet_the_requirements_and_reach_all_that_do(tmp_path: Path) -> None:
    program = net(tmp_path, "a * b == 8")
    drawn = program.sample(200, 0)
    assert {program.build(decision) for decision in drawn} == {8}
    assert {decision["a"] for decision in drawn} == {1, 2, 4, 8}


def test_a_larger_sample_begins_with_the_smaller(tmp_path: Path) -> None:
    program = net(tmp_path, "a * b < 9")
    assert program.sample(20, 3)[:7] == program.sample(7, 3)
    assert program.sample(7, np.random.default_rng(3)) == program.sample(7, 3)


def test_without_requirements_it_is_the_sample_of_the_space(tmp_path: Path) -> None:
    program = net(tmp_path)
    assert program.sample(30, 5) == program.space.sample(30, np.random.default_rng(5))


def test_requirements_that_nothing_meets_are_an_error(tmp_path: Path) -> None:
    program = net(tmp_path, "a * b > 70")
    with pytest.raises(AnnotationError, match=r"no decision meets the clauses; .* break `a \* b > 70`"):
        program.sample(2, 0)


def test_the_bounds_of_a_survey_are_the_programs(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"up to 5 of them.*`symnas.program\(…, joint_limit=N\)`"):
        _ = net(tmp_path, name="joint.py", joint_limit=5).space
    with pytest.raises(ProgramError, match=r"at most 5 runs.*`symnas.program\(…, max_runs=N\)`"):
        _ = net(tmp_path, name="runs.py", max_runs=5).space
    assert net(tmp_path, joint_limit=100).space == net(tmp_path).space


def test_the_bounds_go_wherever_the_program_goes(tmp_path: Path) -> None:
    bounded = net(tmp_path, joint_limit=5)
    for again in (
        pickle.loads(pickle.dumps(bounded)),
        bounded.with_inputs(None),
        locate(json.loads(json.dumps(locator_of(bounded)))),
    ):
        with pytest.raises(ProgramError, match="up to 5 of them"):
            _ = again.space
    assert "bounds" not in (locator_of(net(tmp_path)) or {})
