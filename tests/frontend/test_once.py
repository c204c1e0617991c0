"""What the user's code prints is seen once, however often the library runs it."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from pathlib import Path

import pytest

import symnas
from symnas.errors import BuildError
from symnas.frontend.once import Told

BODY = """
import logging
import sys
import warnings
from torch import nn

LOG = logging.getLogger("net")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        w = 4  # search: {{4, 8, 16}}
        {}
        self.a = nn.Linear(2, w)
        if w > 4:
            k = 3  # search: {{1, 3}}
            self.b = nn.Linear(k, k)

    def forward(self, x):
        return self.a(x)
"""
WAYS = {
    "print": "print('made', w)",
    "print to stderr": "print('made', w, file=sys.stderr)",
    "without an end": "sys.stdout.write('made 4; ')",
    "in parts": "print('made', end=' '); print(w, flush=True)",
    "many lines": "sys.stdout.writelines(['made\\n', '4\\n'])",
}


def net(folder: Path, line: str) -> symnas.Program:
    (folder / "net.py").write_text(BODY.format(line))
    return symnas.program(f"{folder / 'net.py'}:Net")


@pytest.mark.parametrize("way", WAYS)
def test_prints_are_seen_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str) -> None:
    program = net(tmp_path, WAYS[way])
    assert len(program.space) == 2
    told = capsys.readouterr()
    assert (told.out + told.err).count("made") == 1
    program.build()
    told = capsys.readouterr()
    assert (told.out + told.err).count("made") == 1  # what is asked for is heard


def test_supernets_and_relaxed_networks_are_silent_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = net(tmp_path, "print('made', w)")
    _ = program.space
    capsys.readouterr()
    supernet = program.supernet()
    supernet.child(program.space.default)
    assert capsys.readouterr().out == ""


def test_warnings_are_seen_once_and_their_filters_stay(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _ = net(tmp_path, "warnings.warn(f'made {w}', stacklevel=1)").space
    assert [str(warning.message) for warning in caught] == ["made 4"]
    assert caught[0].filename.endswith("net.py")
    program = net(tmp_path, "warnings.warn('made 4')")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BuildError, match="made 4"):
            _ = program.space


def test_logging_is_seen_once_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        _ = net(tmp_path, "LOG.info('made')").space
        logging.getLogger("other").info("after")
    assert [record.message for record in caplog.records] == ["made", "after"]


def test_streams_and_switches_are_put_back(tmp_path: Path) -> None:
    before = sys.stdout, sys.stderr, warnings.showwarning, logging.root.manager.disable
    with pytest.raises(BuildError, match="no"):
        _ = net(tmp_path, "raise ValueError('no')").space
    _ = net(tmp_path, "pass").space
    assert before == (sys.stdout, sys.stderr, warnings.showwarning, logging.root.manager.disable)


def test_what_a_failing_program_says_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BuildError, match="no"):
        _ = net(tmp_path, "print('at', w); print('last'); raise ValueError('no')").space
    out = capsys.readouterr().out
    assert "at 4" in out
    assert "last" in out


def test_of_a_run_that_is_tried_again_only_the_rest_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # On `meta` the second line raises, so the survey goes on with numbers.
    _ = net(tmp_path, "print('one'); float(nn.Parameter(__import__('torch').ones(1))); print('two')").space
    assert capsys.readouterr().out == "one\ntwo\n"


def test_other_threads_are_heard(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told()
    with told.run():
        print("first")
    with told.run():
        print("second")
        thread = threading.Thread(target=print, args=("other",))
        thread.start()
        thread.join()
        assert sys.stdout.encoding
    assert capsys.readouterr().out == "first\nother\n"
