from __future__ import annotations

import io

import pytest

from symnas.contracts.outcome import Status
from symnas.errors import StudyError
from symnas.study.progress import Display, Line, Snapshot


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


FULL = Snapshot(62, 100, 2, ("accuracy", 0.9731, 48), {Status.DONE: 61, Status.TIMEOUT: 1})


def rewind(line: Line, seconds: float) -> None:
    line._started -= seconds


def test_a_log_gets_one_plain_line_with_everything_in_it() -> None:
    stream = io.StringIO()
    display = Display("auto", stream)
    line = display.line("mcts on ConvNet")
    line.update(lambda: Snapshot(0, 100), force=True)
    rewind(line, 62.0)
    line.update(lambda: FULL, force=True)
    last = stream.getvalue().splitlines()[-1]
    assert last.startswith(
        "mcts on ConvNet  62/100  best accuracy 0.9731 (trial 48)  2 running  1 timed out  "
    )
    assert "60/min" in last or "1/s" in last
    assert last.endswith("0:00:38 left")


def test_trials_of_earlier_runs_do_not_count_for_the_rate() -> None:
    display = Display("plain", io.StringIO())
    line = display.line("grid on space")
    line.update(lambda: Snapshot(50, 100), force=True)
    rewind(line, 10.0)
    line.update(lambda: Snapshot(70, 100), force=True)
    assert line.rate == pytest.approx(2.0, rel=0.05)


def test_updates_between_refreshes_make_no_snapshot() -> None:
    line = Display("plain", io.StringIO()).line("random on space")
    made = []

    def make() -> Snapshot:
        made.append(1)
        return Snapshot(1)

    for _ in range(1000):
        line.update(make)
    assert len(made) == 1


def test_silence_makes_and_writes_nothing() -> None:
    stream = io.StringIO()
    line = Display("silent", stream).line("random on space")
    line.update(lambda: pytest.fail("a silent display asks for nothing"), force=True)
    assert stream.getvalue() == ""


def test_an_inner_search_is_shown_beneath_the_outer_one() -> None:
    stream = io.StringIO()
    display = Display("plain", stream)
    with display.line("nsga2 on chips") as outer:
        outer.update(lambda: Snapshot(1, 5))
        with display.line("smbo on nets") as inner:
            inner.update(lambda: Snapshot(3, 9))
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("nsga2 on chips")
    assert lines[1].startswith("  smbo on nets")


def test_a_terminal_gets_a_bar_and_keeps_the_last_state() -> None:
    stream = Terminal()
    display = Display("auto", stream)
    assert display.mode == "live"
    with display.line("evolution on Net") as line:
        line.update(lambda: FULL)
        with display.line("inner") as inner:
            inner.update(lambda: Snapshot(2, 4), force=True)
    text = stream.getvalue()
    assert "━" in text
    assert "62/100" in text
    assert "evolution on Net" in text


def test_what_an_evaluator_prints_stays_on_a_piped_output(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Terminal()
    with Display("live", stream).line("evolution on Net") as line:
        line.update(lambda: FULL)
        print("from the evaluator")
    assert capsys.readouterr().out == "from the evaluator\n"
    assert "from the evaluator" not in stream.getvalue()


def test_an_unknown_mode_is_told_with_the_nearest() -> None:
    with pytest.raises(StudyError, match=r"progress is one of .*'plian' \(did you mean 'plain'\?\)"):
        Display("plian")  # type: ignore[arg-type]
