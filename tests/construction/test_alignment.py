"""The examples that the docstring of `alignment` works out, worked out."""

from __future__ import annotations

import numpy as np
import pytest

from symnas.construction.alignment import Row, Segment, SharedLayout, Tensors, plain


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


def drawn(rng: np.random.Generator) -> Tensors:
    """Return a child with tensors of widths, kernels and concatenations, some of which it lacks."""

    def row(most: int) -> Row:
        kept = [name for name in "abcde"[:most] if rng.random() < 0.7] or ["a"]
        return tuple(
            Segment((int(rng.integers(0, 5)),), frozenset(f"{name}{rng.integers(3)}" for _ in range(2)))
            for name in kept
        )

    kernel = (Segment((int(rng.choice([1, 3, 5])),), centred=True),)
    found: Tensors = {"one": [row(1), kernel], "some": [row(3), row(5)], "none": []}
    return {key: rows for key, rows in found.items() if rng.random() < 0.8}


@pytest.mark.parametrize("seed", range(30))
def test_children_that_join_are_laid_out_as_all_would_be_anew(seed: int) -> None:
    rng = np.random.default_rng(seed)
    children = [drawn(rng) for _ in range(8)]
    layout = SharedLayout()
    layout.make_room(children[:3])
    for count in range(3, len(children)):
        before = {key: layout.shape(key) for key in layout.tensors}
        found = layout.joined(children[:count], [children[count]])
        assert found is not None
        # Where the children known stood is still told by the layout that they were in.
        assert {key: layout.shape(key) for key in before} == before
        layout, anew = found.layout, SharedLayout()
        anew.make_room(children[: count + 1])
        assert layout.tensors == anew.tensors
        for child in children[: count + 1]:
            for key, rows in child.items():
                assert layout.index(key, rows) == anew.index(key, rows)


def test_children_with_heads_are_laid_out_anew() -> None:
    layout = SharedLayout()
    layout.make_room([{"q": [(Segment((2, 3), axes=(1, 2)),)]}])
    assert layout.joined([{"q": [(Segment((2, 3), axes=(1, 2)),)]}], [{"q": [(Segment((6,)),)]}]) is None


def test_an_empty_part_is_a_slice() -> None:
    layout = SharedLayout()
    layout.make_room([{"token": plain((1, 8))}, {"token": plain((0, 8))}])
    assert layout.index("token", plain((0, 8))) == (slice(0, 0), slice(0, 8))
