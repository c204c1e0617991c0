from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from symnas.export.dispatch import dispatched

NAMES = ("i", "j", "k")


def choices(depth):
    turns = st.tuples(*[st.integers(0, 3)] * depth)
    return st.dictionaries(turns, st.integers(0, 3), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 3).flatmap(choices), st.booleans())
def test_the_expression_gives_every_turn_its_own_text_and_evaluates_nothing_else(given_turns, free):
    made = []
    texts = {turns: f"make({value})" for turns, value in given_turns.items()}
    expression = dispatched(texts, NAMES.__getitem__, lambda text: free)
    for turns, value in given_turns.items():
        made.clear()
        scope = dict(zip(NAMES, turns, strict=False)) | {"make": lambda x: made.append(x) or x}
        assert eval(expression, scope) == value
        if not free:
            assert made == [value]


def test_what_it_reads_like():
    def shown(texts, free=True):
        return dispatched(texts, NAMES.__getitem__, lambda text: free)

    assert shown({(0,): "3", (1,): "3"}) == "3"
    assert shown({(0,): "3", (1,): "5", (3,): "7"}) == "(3, 5, 5, 7)[i]"
    assert shown({(0, 0): "3", (0, 1): "5", (1, 0): "3"}) == "(3, 5)[j]"
    assert shown({(0, 0): "3", (0, 1): "5", (1, 0): "1"}) == "((3, 5), (1,))[i][j]"
    assert shown({(0,): "A()", (1,): "B()", (2,): "A()"}, free=False) == "B() if i == 1 else A()"
    three = {(0,): "A()", (1,): "B()", (2,): "lambda: 0", (3,): "B()"}
    assert shown(three, free=False) == "A() if i == 0 else (lambda: 0) if i == 2 else B()"
