"""The examples that the docstring of `alignment` works out, worked out."""

from __future__ import annotations

from symnas.construction.alignment import Row, Segment, SharedLayout


def row(*segments: tuple[tuple[int, ...], str]) -> Row:
    return tuple(Segment(shape, frozenset([label])) for shape, label in segments)


def box(*shape: int) -> Row:
    """Return a dimension of one segment, whose sizes are axes of its own."""
    return (Segment(shape, frozenset("w"), axes=tuple(range(len(shape)))),)


def test_a_narrow_branch_leaves_the_other_where_it_is() -> None:
    shared = SharedLayout()
    wide = {"c": (row(((4,), "a"), ((6,), "b")),)}
    narrow = {"c": (row(((2,), "a"), ((6,), "b")),)}
    alone = {"c": (row(((6,), "b")),)}
    shared.make_room([wide, narrow, alone])
    assert shared.shape("c") == (10,)
    assert shared.index("c", wide["c"]) == (slice(0, 10),)
    assert shared.index("c", narrow["c"]) == ((0, 1, *range(4, 10)),)
    assert shared.index("c", alone["c"]) == (slice(4, 10),)


def test_heads_are_shared_as_the_finest_that_all_are_made_of() -> None:
    shared = SharedLayout()
    few, many = {"q": (box(2, 6),)}, {"q": (box(4, 3),)}
    shared.make_room([few, many])
    assert shared.shape("q") == (12,)
    assert [segment.shape for segment in shared.refined(few)["q"][0]] == [(4, 3)]
    assert shared.index("q", shared.refined(few)["q"]) == (slice(0, 12),)


def test_heads_that_nothing_divides_are_leading_slices() -> None:
    shared = SharedLayout()
    shared.make_room([{"q": (box(2, 3),)}, {"q": (box(4, 2),)}])
    assert shared.shape("q") == (8,)
    assert shared.index("q", shared.refined({"q": (box(2, 3),)})["q"]) == (slice(0, 6),)
