"""When a run with open choices would do what another has done, told from the points that it has met."""

from __future__ import annotations

from typing import Any

import pytest

from symnas.frontend.openings import Opening, PointsMet

SITE: Any = object()
MET = PointsMet(
    Opening({"width": 1, "elsewhere": 5}, {"op"}),
    closed={"width": 1, "depth": 2},
    sites=dict.fromkeys(("op", "width", "depth"), SITE),
    under={},
)


@pytest.mark.parametrize(
    ("values", "opened", "same"),
    [
        ({"width": 1}, {"op"}, True),
        ({"width": 2}, {"op"}, False),
        ({"width": True}, {"op"}, False),  # which Python calls equal
        ({"width": 1, "depth": 2}, {"op"}, True),  # the default, given
        ({"width": 1, "depth": 3}, {"op"}, False),
        ({}, {"op"}, False),  # it was given a value, which need not be the default
        ({"width": 1, "elsewhere": 7, "nowhere": 0}, {"op", "nowhere"}, True),  # points that it has not met
        ({"width": 1}, set(), False),
        ({"width": 1}, {"op", "depth"}, False),
    ],
)
def test_runs_part_ways_where_both_meet_a_point(values: Any, opened: set[str], same: bool) -> None:
    assert MET.answers(Opening(values, opened)) is same


def test_a_child_is_served_where_all_that_it_has_was_met() -> None:
    assert MET.serves({"op": "any", "width": 1, "depth": 2})
    assert not MET.serves({"op": "any", "width": 1.0})
    assert not MET.serves({"op": "any", "width": 1, "elsewhere": 5})


def test_changed_values_leave_the_opening_as_it_was() -> None:
    changed = MET.opening.under({"width": 3})
    assert (changed.values, changed.opened) == ({"width": 3, "elsewhere": 5}, {"op"})
    assert MET.opening.values["width"] == 1
