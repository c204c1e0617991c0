"""Read the text of a range or a count, and refuse what makes no sense."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from symnas.errors import AnnotationError
from symnas.grammar.domains.model import Number, RangeDomain

_RANGE = re.compile(
    r"(?P<log>log\s+)?(?P<low>\S+?)\s*\.\.\s*(?P<high>[^\sx]+)(?:\s*(?P<word>step|x)\s*(?P<by>\S+))?", re.S
)


class Fail(Protocol):
    """Makes the error of a kind of mistake at the range that is being read."""

    def __call__(self, code: str, **fields: object) -> AnnotationError:
        """Return the error for `code`, its message filled with `fields`."""
        ...


def read_range(text: str, fail: Fail) -> RangeDomain:
    """Read a range as Lark lexed it, such as `log 1e-4..1e-1` or `16..256 step 16`."""
    found = _RANGE.fullmatch(text.strip())
    assert found is not None, text
    low, high = _number(found["low"], fail), _number(found["high"], fail)
    word, log = found["word"], bool(found["log"])
    by = None if word is None else _number(found["by"], fail)
    if low > high:
        raise fail(
            "reversed-range",
            given=f"{found['low']}..{found['high']}",
            mended=f"{found['high']}..{found['low']}",
        )
    if low == high:
        raise fail("single-value-range", given=f"{found['low']}..{found['high']}")
    if log:
        _check_log(low, found["low"], word, fail)
    # One real number makes the range real; a factor is whole by itself, so it does not count.
    real = any(isinstance(number, float) for number in (low, high, None if word == "x" else by))
    if word == "x":
        return _factored(low, high, by, real, found, fail)
    if by is not None and by <= 0:
        raise fail("step-not-positive", given=found["by"])
    if by is not None and by > high - low:
        raise fail("step-too-large", given=found["by"])
    if real:
        return RangeDomain(float(low), float(high), None if by is None else float(by), None, log)
    return RangeDomain(low, high, by, None, log)


def _check_log(low: Number, written: str, word: str | None, fail: Fail) -> None:
    if word is not None:
        raise fail("log-on-a-grid")
    if low <= 0:
        raise fail("log-not-positive", given=written)


def _factored(
    low: Number, high: Number, by: Number | None, real: bool, found: re.Match[str], fail: Fail
) -> RangeDomain:
    if real:
        raise fail("real-factor", given=f"{found['low']}..{found['high']}")
    if not isinstance(by, int) or by < 2 or low <= 0:
        raise fail("factor-too-small", given=f"{found['low']}..{found['high']} x {found['by']}")
    if low * by > high:
        raise fail("step-too-large", given=found["by"])
    return RangeDomain(low, high, None, by)


def read_count(text: str, fail: Fail) -> tuple[int, int]:
    """Read `2 of` or `1..3 of` as its smallest and largest number."""
    ends = [_number(part.strip(), fail) for part in text.strip().removesuffix("of").split("..")]
    low, high = int(ends[0]), int(ends[-1])
    if low > high:
        raise fail("reversed-range", given=f"{low}..{high}", mended=f"{high}..{low} of")
    if high == 0:
        raise fail("subset-of-none")
    return low, high


def _number(text: str, fail: Callable[..., AnnotationError]) -> Number:
    try:
        if re.search(r"[.eE]", text):
            return float(text)
        if re.match(r"-?0\d", text):
            raise ValueError
        return int(text)
    except ValueError:
        raise fail("number-malformed", given=f"`{text}`") from None
