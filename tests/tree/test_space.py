"""Spaces, decisions and batches: what they say, refuse and show."""

from __future__ import annotations

import json
import math
import pickle
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from rich.console import Console

from symnas.errors import DecisionError, SpaceError
from symnas.tree.choices import Branch, FloatRange, Guard, IntRange, ManyOf, OneOf, Permutation, Point, Tied
from symnas.tree.serialization import join, segments
from symnas.tree.space import Batch, Decision, Space, product


def block(stage: int, turn: int, kernels: tuple[int, ...] = (1, 3, 5, 7)) -> tuple[Point, ...]:
    at = f"stage[{stage}].block[{turn}]"
    return (OneOf(f"{at}.k", kernels, 3), OneOf(f"{at}.layers", ("ReLU", "GELU", "SiLU")))


def stage(turn: int) -> tuple[Point, ...]:
    turns = tuple(Branch(range(t, 3), block(turn, t)) for t in range(3))
    at = f"stage[{turn}]"
    return (IntRange(f"{at}.block", 1, 3, branches=turns), OneOf(f"{at}.pool", (True, False)))


def convnet() -> Space:
    turns = tuple(Branch(range(t, 3), stage(t)) for t in range(3))
    return Space(
        (
            OneOf("width", (16, 32, 64), 32),
            IntRange("stage", 1, 3, default=2, branches=turns),
            FloatRange("head[0].p", 0.0, 0.5, default=0.2),
        )
    )


def shown(space: Space) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(space)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


# -------------------------------------------------------------------- size


def test_the_size_of_the_convnet_by_hand() -> None:
    inner = 4 * 3
    one = (inner + inner**2 + inner**3) * 2
    assert convnet().leaves == 3 * (one + one**2 + one**3) == 160_534_807_272
    assert convnet().size == math.inf


def test_sizes_past_machine_integers_are_exact() -> None:
    space = Space(tuple(OneOf(f"x{i}", tuple(range(10))) for i in range(1000)))
    assert space.size == 10**1000
    assert space.sample(3, np.random.default_rng(0), uniform="space") is not None


def test_a_loop_of_many_turns_counts_quickly() -> None:
    turns = tuple(Branch(range(t, 2000), (OneOf(f"i[{t}].k", (1, 2, 3)),)) for t in range(2000))
    space = Space((IntRange("i", 1, 2000, branches=turns),))
    assert space.size == sum(3**k for k in range(1, 2001))


def test_independent_conditions_do_not_multiply() -> None:
    switches = [OneOf(f"s{i}", (0, 1)) for i in range(60)]
    guarded = [OneOf(f"g{i}", (0, 1, 2), guards=(Guard((f"s{i}",), frozenset({(1,)})),)) for i in range(60)]
    assert Space((*switches, *guarded)).size == 4**60


def test_conditions_that_interact_without_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symnas.tree.coupled_counting.MAX_STATES", 100)
    switches = [OneOf(f"s{i}", (0, 1)) for i in range(12)]
    joint = Guard(tuple(f"s{i}" for i in range(12)), frozenset({(1,) * 12}))
    with pytest.raises(SpaceError, match="interact in more than 100 ways; make them fewer"):
        _ = Space((*switches, OneOf("g", (0, 1), guards=(joint,)))).size


# -------------------------------------------------------------------- spaces that are refused


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: OneOf("", (1,)), "an address is a non-empty text"),
    (lambda: OneOf("a", ()), "a: a choice needs at least one candidate"),
    (lambda: OneOf("a", (1, 2, 1)), "a: candidates must differ, 1 is given twice"),
    (lambda: OneOf("a", (1, math.nan)), "a: a number among the candidates must be finite"),
    (lambda: OneOf("a", (1, [2])), "a: labels are text, numbers, True, False or None"),  # type: ignore[arg-type]
    (lambda: OneOf("a", (1, 2), True), r"a: the default must be a candidate, True is not in \{1, 2\}"),
    (lambda: OneOf("a", (1, 2), weights=(1.0,)), "a: weights are 2 non-negative numbers"),
    (lambda: OneOf("a", (1, 2), weights=(0.0, 0.0)), "with a positive sum"),
    (
        lambda: OneOf("a", (1,), branches=(Branch((1,), ()),)),
        r"a: a branch hangs under codes 0\.\.0, got 1\.\.1",
    ),
    (lambda: Branch((), ()), "a branch needs at least one code"),
    (lambda: ManyOf("a", (1, 2), 1, 3), r"a: sizes satisfy 0 <= low <= high of 2 candidates"),
    (lambda: ManyOf("a", (1, 2), 0, 0), "high >= 1, got 0"),
    (lambda: ManyOf("a", (1, 2), 1, 1, default=(1, 2)), "a: the default must be a value of the point"),
    (lambda: ManyOf("a", (1, 2), 1, 1, only=((1,), (1,))), "`only` lists distinct values"),
    (lambda: ManyOf("a", (1,), 1, 1, branches=(Branch((0,), (), 1),)), "chosen more than 1 times"),
    (lambda: Permutation("a", (1, 2), (1, 1)), "a: the default must be a value of the point"),
    (lambda: IntRange("a", 2, 1), "a: a range needs low <= high"),
    (lambda: IntRange("a", 1, 1.5), "a: a range is given in whole numbers, got 1.5"),  # type: ignore[arg-type]
    (lambda: IntRange("a", 1, 8, factor=1), "a: a factor is at least 2"),
    (lambda: IntRange("a", 0, 8, log=True), "low >= 1 when log"),
    (lambda: IntRange("a", 0, 8, step=2, default=3), "a: the default must be a value"),
    (lambda: FloatRange("a", 0.0, math.inf), "a: a range is given in finite numbers, got inf"),
    (lambda: FloatRange("a", 0.0, 1.0, log=True), "low > 0 when log"),
    (lambda: FloatRange("a", 0.0, 1.0, default=2.0), "a: the default must be a value"),
    (lambda: FloatRange("a", 0.0, 1.0, weights=(1.0,)), "without a step takes no weights"),
    (lambda: FloatRange("a", 0.0, 1.0, branches=(Branch((0,), ()),)), "nothing can hang under a real range"),
    (lambda: Tied("a", "b", weights=(1.0,)), "a: a tie takes no weights"),
    (lambda: Guard((), frozenset({()})), "a guard names at least one point"),
    (lambda: Guard(("a",), frozenset()), r"a guard over \['a'\] needs rows of 1 codes"),
    (lambda: Space((OneOf("a", (1,)), OneOf("a", (2,)))), "addresses are unique in a space; 'a'"),
    (lambda: Space((Tied("a", "b"), OneOf("b", (1,)))), "a: a tie's target stands earlier"),
    (lambda: Space((OneOf("bb", (1,)), Tied("a", "b"))), r"did you mean 'bb'\?"),
    (
        lambda: Space((OneOf("a", (1, 2), branches=(Branch((0,), (OneOf("b", (1,)),)),)), Tied("c", "b"))),
        "c: a tie's target exists wherever the tie does, and b may be absent there",
    ),
    (
        lambda: Space(
            (FloatRange("a", 0.0, 1.0), OneOf("b", (1,), guards=(Guard(("a",), frozenset({(0,)})),)))
        ),
        "b: a guard needs finite points, a is a real range",
    ),
    (
        lambda: Space((OneOf("a", (1, 2)), OneOf("b", (1,), guards=(Guard(("a",), frozenset({(2,)})),)))),
        r"b: a guard over a uses codes -1\.\.1, got 2",
    ),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=range(len(REFUSED)))
def test_malformed_trees_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        make()


# -------------------------------------------------------------------- decisions that are refused


def test_wrong_decisions_name_the_address_and_what_was_allowed() -> None:
    space = convnet()
    default = space.default
    with pytest.raises(DecisionError, match=r"width: the value must be one of \{16, 32, 64\}, got 17"):
        default.replace({"width": 17})
    with pytest.raises(DecisionError, match=r"width: .*got 32\.0"):
        default.replace({"width": 32.0})
    with pytest.raises(
        DecisionError, match=r"wdth: the space has no point at this address \(did you mean 'width'"
    ):
        default.replace({"wdth": 16})
    with pytest.raises(
        DecisionError, match=r"stage\[2\]\.pool: the point exists only where stage is 3, and it is 2"
    ):
        default.replace({"stage[2].pool": True})
    with pytest.raises(
        DecisionError, match=r"stage\[2\]\.block\[0\]\.k: .* because stage\[2\]\.block does not"
    ):
        default.replace({"stage[2].block[0].k": 3})
    with pytest.raises(
        DecisionError, match=r"head\[0\]\.p: a value is missing; it must be one of 0\.0\.\.0\.5"
    ):
        space.decision({a: v for a, v in default.items() if a != "head[0].p"}, complete=True)
    with pytest.raises(DecisionError, match="read from a mapping"):
        space.decision([1, 2])  # type: ignore[arg-type]
    with pytest.raises(DecisionError, match=r"stage\.x|given twice|no point"):
        space.decision({**default.flat(), "stage": {"=": 2}, "stage[0]": {"pool": True}})


def test_a_guarded_point_that_does_not_exist_says_under_what() -> None:
    guard = Guard(("a", "b"), frozenset({(1, 1)}))
    space = Space((OneOf("a", (0, 1)), OneOf("b", (0, 1)), OneOf("c", (0, 1), guards=(guard,))))
    with pytest.raises(DecisionError, match="c: the point does not exist under a = 0, b = 1; leave"):
        space.decision({"a": 0, "b": 1, "c": 1})


def test_a_batch_of_another_space_is_refused() -> None:
    with pytest.raises(DecisionError, match="a batch holds decisions of one space"):
        convnet().batch([Space((OneOf("a", (1,)),)).default])
    with pytest.raises(DecisionError, match="only batches of equal spaces"):
        Batch.concat([convnet().batch([]), Space((OneOf("a", (1,)),)).batch([])])
    rng = np.random.default_rng(0)
    two, three = convnet().sample(2, rng), convnet().sample(3, rng)
    with pytest.raises(DecisionError, match="crossover pairs rows"):
        convnet().crossover(two, three, rng)


def test_arrays_that_encode_nothing_are_refused() -> None:
    space = convnet()
    array = space.encode(space.sample(3, np.random.default_rng(0)))
    with pytest.raises(DecisionError, match=r"the 'onehot' view of this space has \d+ columns"):
        space.decode(array[:, 1:])
    array[1, 0] = 1.0 - array[1, 0]
    with pytest.raises(DecisionError, match="row 1, column width="):
        space.decode(array)
    assert len(space.decode(array, strict=False)) == 3
    with pytest.raises(DecisionError, match="a view is 'onehot' or 'ordinal', got 'hot'"):
        space.encode(space.sample(1, np.random.default_rng(0)), "hot")  # type: ignore[arg-type]


def test_real_spaces_cannot_be_listed() -> None:
    with pytest.raises(SpaceError, match=r"head\[0\]\.p is a real range, 0\.0\.\.0\.5; give it a step"):
        next(convnet().enumerate())


# -------------------------------------------------------------------- decisions


def test_replace_brings_defaults_and_drops_what_ends() -> None:
    decision = convnet().default
    assert list(decision)[:3] == ["width", "stage", "stage[0].block"]
    more = decision.replace({"stage": 3, "stage[2].block": 2, "stage[2].block[1].k": 7})
    assert more["stage[2].block[1].k"] == 7
    assert more["stage[2].block[0].k"] == 3
    less = more.replace({"stage": 1})
    assert "stage[1].block" not in less
    difference = more.diff(less)
    assert difference.changed == {"stage": (3, 1)}
    assert "stage[2].block[1].k" in difference.removed
    assert not difference.added
    assert "stage: 3 -> 1" in str(difference)
    assert not less.diff(less)
    back = less.diff(more)
    assert back.changed == {"stage": (1, 3)}
    assert back.added == difference.removed
    assert Decision.diff(more, less) == difference == more.diff(less.flat())


def test_a_decision_may_name_some_points() -> None:
    space = convnet()
    assert space.decision() is space.default
    assert space.decision({}) == space.default
    assert space.decision({"stage": 3}) == space.default.replace({"stage": 3})
    nested = {"stage": {"=": 2, "[1]": {"pool": False}}}
    made = space.decision(nested)
    assert made == space.default.replace({"stage": 2, "stage[1].pool": False})
    assert space.decision(made) is made
    equal = Space(space.points)
    assert equal.decision(made) is made
    # Of a decision of another space, what is there must exist here as well.
    smaller = space.restrict({"stage": [1, 2], "width": [32, 64]})
    assert smaller.decision(made).flat() == made.flat()
    with pytest.raises(DecisionError, match=r"width: the value must be one of .* got 16"):
        smaller.decision(made.replace({"width": 16}))
    with pytest.raises(DecisionError, match=r"stage\[2\]\.\w+: the space has no point"):
        smaller.decision(space.decision({"stage": 3}))
    with pytest.raises(DecisionError, match=r"stage\[2\]\.pool: the point exists only where stage is 3"):
        space.decision({"stage[2].pool": False})
    with pytest.raises(DecisionError, match="a value is missing"):
        space.validate({"stage": 1})
    space.validate(made)


def test_nested_form_follows_the_address() -> None:
    nested = convnet().default.replace({"stage": 1}).to_json()
    assert nested == {
        "width": 32,
        "stage": {"=": 1, "[0]": {"block": {"=": 1, "[0]": {"k": 3, "layers": "ReLU"}}, "pool": True}},
        "head": {"[0]": {"p": 0.2}},
    }
    assert convnet().decision(json.loads(json.dumps(nested))) == convnet().default.replace({"stage": 1})


ADDRESSES = [
    ("stage[1].block[0].k", ("stage", "[1]", "block", "[0]", "k")),
    ("op:conv.kernel_size", ("op", ":conv", "kernel_size")),
    ("op:nn.Conv2d(c, 3.5).k", ("op", ":nn", "Conv2d(c, 3.5)", "k")),
    ("node[nn.Conv2d].op", ("node", "[nn.Conv2d]", "op")),
    ("while[2]:'a.b'.k", ("while", "[2]", ":'a.b'", "k")),
    ("odd..name", ("odd", ".name")),
    ("a.=", ("a.=",)),
]


@pytest.mark.parametrize(("address", "parts"), ADDRESSES)
def test_addresses_split_and_join(address: str, parts: tuple[str, ...]) -> None:
    assert segments(address) == parts
    assert join(parts) == address


def test_ties_are_looked_up_and_count_once() -> None:
    space = Space((OneOf("a", (1, 2)), Tied("b", "a", branches=(Branch((1,), (OneOf("c", (1, 2)),)),))))
    assert space.size == 3
    decision = space.decision({"a": 2, "b": 2, "c": 1})
    assert decision["b"] == 2
    assert "b" in decision
    assert list(decision) == ["a", "c"]
    with pytest.raises(DecisionError, match="b: the value must equal its target's, same as a, got 1"):
        space.decision({"a": 2, "b": 1, "c": 1})
    with pytest.raises(KeyError, match="c"):
        _ = space.default["c"]


def test_labels_differ_by_type() -> None:
    space = Space((OneOf("a", (True, 1, 1.0, "1")),))
    keys = {decision.key for decision in space.enumerate()}
    assert len(keys) == 4
    assert space.decision({"a": 1.0})["a"] is not True
    assert type(space.decision({"a": 1})["a"]) is int
    assert Space((OneOf("a", (True,)),)) != Space((OneOf("a", (1,)),))
    assert OneOf("a", (True,)) != OneOf("a", (1,))
    assert OneOf("a", (1,), origin="x.py:1") == OneOf("a", (1,), origin="y.py:2")


def test_hashes_are_equal_in_another_process_with_another_hash_seed() -> None:
    space = convnet()
    batch = space.sample(3, np.random.default_rng(0))
    code = (
        "import json,sys\nfrom symnas.tree.space import Space\n"
        "space, decisions = json.load(sys.stdin)\nspace = Space.from_json(space)\n"
        "print(space.fingerprint, *[space.decision(d).key for d in decisions])"
    )
    given = json.dumps([space.to_json(), [decision.to_json() for decision in batch]])
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=given,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77"},
    )
    assert run.stdout.split() == [space.fingerprint, *batch.keys().tolist()]
    again = pickle.loads(pickle.dumps(batch))
    assert again == batch


def test_batches_index_like_sequences() -> None:
    space = convnet()
    batch = space.sample(10, np.random.default_rng(0))
    listed = list(batch)
    assert batch[-1] == listed[-1]
    assert list(batch[2:5]) == listed[2:5]
    assert list(batch[np.array([4, 1])]) == [listed[4], listed[1]]
    assert list(batch[[True, False] * 5]) == listed[::2]
    assert len(batch[[]]) == 0
    assert Batch.concat([batch[:3], batch[3:]]) == batch
    assert batch.column("width").tolist() == [space["width"].code(d["width"]) for d in listed]
    assert batch.active("stage[2].pool").tolist() == [d["stage"] == 3 for d in listed]
    with pytest.raises(IndexError, match="a batch of 10 decisions has no position 10"):
        batch[10]
    assert Batch.concat([batch, batch]).unique() == batch.unique()


# -------------------------------------------------------------------- other spaces


def test_select_by_pattern() -> None:
    space = convnet()
    assert space.select("stage[*].pool") == tuple(f"stage[{i}].pool" for i in range(3))
    assert len(space.select("**.k")) == 9
    assert space.select("stage[1].**") == tuple(a for a in space.addresses if a.startswith("stage[1]"))
    assert space.select("w*") == ("width",)
    assert space.select("**") == space.addresses
    assert space.select("none") == ()


def test_restrict_keeps_kinds_and_moves_defaults() -> None:
    space = convnet()
    smaller = space.restrict({"stage": range(1, 3), "width": [64], "head[0].p": (0.1, 0.15)})
    assert smaller["stage"] == IntRange("stage", 1, 2, default=2, branches=smaller["stage"].branches)
    assert smaller["head[0].p"] == FloatRange("head[0].p", 0.1, 0.15, default=0.15)
    assert smaller["width"] == OneOf("width", (64,))
    assert not smaller.select("stage[2].**")
    apart = space.restrict({"stage": {1, 3}})
    assert isinstance(apart["stage"], OneOf)
    assert apart.leaves == space.leaves - space.restrict({"stage": [2]}).leaves
    frozen = space.freeze({"head[0].p": 0.3, "stage": 1, "width": 16})
    assert frozen.size == space.freeze({"stage": 1, "width": 16}).leaves
    assert frozen.default["head[0].p"] == 0.3
    with pytest.raises(SpaceError, match=r"restricted to values it has: width: .* got 17"):
        space.restrict({"width": [17]})
    with pytest.raises(SpaceError, match="no point 'widht'"):
        space.restrict({"widht": [16]})
    with pytest.raises(SpaceError, match="restrict to a non-empty collection"):
        space.restrict({"width": []})


def test_restricting_subsets_by_candidate_or_value() -> None:
    branches = tuple(Branch((i,), (OneOf(f"m[{x}].z", (1, 2)),)) for i, x in enumerate("abc"))
    space = Space((ManyOf("m", tuple("abc"), 1, 2, branches=branches),))
    fewer = space.restrict({"m": ["a", "c"]})
    assert {d["m"] for d in fewer.enumerate()} == {("a",), ("c",), ("a", "c")}
    assert fewer.addresses == ("m", "m[a].z", "m[c].z")
    listed = space.restrict({"m": [("b",), ("a", "c")]})
    assert {d["m"] for d in listed.enumerate()} == {("b",), ("a", "c")}
    with pytest.raises(SpaceError, match="a permutation has all its candidates"):
        Space((Permutation("p", (1, 2)),)).restrict({"p": [1]})


def test_products_join_under_names() -> None:
    both = product(net=convnet(), hw=Space((OneOf("rows", (8, 16)), Tied("columns", "rows")), ("rows > 4",)))
    assert both["hw.columns"].domain == "same as hw.rows"
    assert both.requires == ("rows > 4",)
    assert both.default.part("net", convnet()) == convnet().default
    assert both == Space.product(
        net=convnet(), hw=Space((OneOf("rows", (8, 16)), Tied("columns", "rows")), ("rows > 4",))
    )


# -------------------------------------------------------------------- shown


def test_the_tree_is_shown_with_turns_alike_on_one_line() -> None:
    assert (
        shown(convnet())
        == """\
160,534,807,272 decisions x 1 real · 27 points
├── width        {16, 32*, 64}
├── stage        1..3, default 2
│   ├── stage[i].block    1..3, default 1
│   │   ├── …block[j].k         {1, 3*, 5, 7}
│   │   └── …block[j].layers    {ReLU*, GELU, SiLU}
│   └── stage[i].pool     {True*, False}
└── head[0].p    0.0..0.5, default 0.2"""
    )


def test_unequal_turns_stay_apart() -> None:
    turns = [Branch(range(t, 3), block(0, t)) for t in range(2)]
    turns.append(Branch(range(2, 3), block(0, 2, (3, 9))))
    text = shown(Space((IntRange("stage[0].block", 1, 3, branches=tuple(turns)),)))
    assert re.search(r"…block\[i\]\.k\s+\{1, 3\*, 5, 7\}  i = 0\.\.1$", text, re.MULTILINE)
    assert re.search(r"…block\[2\]\.k\s+\{3\*, 9\}$", text, re.MULTILINE)
    assert re.search(r"…block\[i\]\.layers\s+\{ReLU\*, GELU, SiLU\}$", text, re.MULTILINE)


def test_conditions_are_told_unless_the_address_tells_them() -> None:
    space = Space(
        (
            OneOf("op", ("conv", "pool"), branches=(Branch((0,), (OneOf("op:conv.k", (1, 3)),)),)),
            IntRange("depth", 1, 4, branches=(Branch((2, 3), (OneOf("wide", (True, False)),)),)),
            OneOf("both", (1, 2), guards=(Guard(("op", "depth"), frozenset({(0, 1)})),)),
            Tied("again", "both", guards=(Guard(("op", "depth"), frozenset({(0, 1)})),)),
        )
    )
    text = shown(space)
    assert re.search(r"op:conv\.k\s+\{1\*, 3\}$", text, re.MULTILINE)
    assert "if depth is 3 or 4" in text
    assert "guarded by op, depth" in text
    assert "same as both" in text


def test_five_hundred_points_stay_readable() -> None:
    turns = tuple(
        Branch(range(t, 50), tuple(OneOf(f"i[{t}].x{k}", (1, 2)) for k in range(10))) for t in range(50)
    )
    static = tuple(OneOf(f"layer[{i}].op", ("conv", "pool")) for i in range(100))
    space = Space((IntRange("i", 1, 50, branches=turns), *static))
    assert len(shown(space).splitlines()) == 13
    assert "i = 0..99" in shown(space)
    assert len(space._repr_html_()) < 5000


def test_html_escapes_and_marks_what_was_chosen() -> None:
    space = Space((OneOf("a<b", ("<i>", "x")),))
    assert "a&lt;b" in space._repr_html_()
    assert "<i>" not in space._repr_html_()
    html = space.decision({"a<b": "x"})._repr_html_()
    assert "<b>x</b>" in html


# -------------------------------------------------------------------- large


def wide(points: int) -> Space:
    some = [
        OneOf(f"x{i}", (0, 1, 2)) if i % 2 else ManyOf(f"x{i}", tuple("abcd"), 0, 2) for i in range(points)
    ]
    return Space(tuple(some))


def test_many_columns_do_not_overflow_small_codes() -> None:
    space = wide(300)
    batch = space.sample(20, np.random.default_rng(0))
    for view in ("onehot", "ordinal"):
        assert space.decode(space.encode(batch, view), view) == batch
    assert len(space.neighbours(batch[:2])) > 1000


@pytest.mark.parametrize("count", [127, 128, 300, 40_000])
def test_codes_widen_with_the_number_of_values(count: int) -> None:
    space = Space((IntRange("n", 1, count), OneOf("b", (0, 1))))
    batch = space.sample(200, np.random.default_rng(0))
    assert {d["n"] for d in batch} <= set(range(1, count + 1))
    last = space.decision({"n": count, "b": 1})
    assert space.batch([last])[0]["n"] == count
    assert space.decode(space.encode(space.batch([last])))[0] == last
    assert len(space.neighbours(last)) == count
    assert all(
        d["n"] != count or d["b"] != 1
        for d in space.mutate(space.batch([last] * 50), np.random.default_rng(1))
    )


@pytest.mark.parametrize("marks", [[0, 1, 1], [1, 1, 0], [1, 1, 1], [1, 0, 1], [0, 0, 0]])
@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("candidates", [3, 90])
def test_several_marks_at_the_last_point_are_no_decision(marks, before, candidates):
    labels = tuple(range(candidates))
    space = Space((*(OneOf(f"p{i}", labels) for i in range(before)), OneOf("last", labels)))
    array = space.encode(space.batch([space.default]))
    array[0, -candidates:] = [*[0] * (candidates - 3), *marks]
    with pytest.raises(DecisionError, match="row 0"):
        space.decode(array)
