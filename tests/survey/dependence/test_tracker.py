# ruff: noqa: E501  (program texts in tables)
"""The tracker against plain runs: a probed value may only change with a choice that is among its labels."""

from __future__ import annotations

import ast
import itertools
from typing import Any

import pytest

from symnas.survey.dependence import frame, tracker
from symnas.survey.dependence.rewrite import instrument
from symnas.survey.dependence.tracker import Tracker

SETUP = """
a, b, c = src("a"), src("b"), src("c")
"""

PROGRAMS = {
    "arithmetic": "probe('x', a * 2 + b)",
    "untouched": "probe('x', a); probe('y', 5)",
    "augmented": "x = 1\nx += a\nx *= 2\nprobe('x', x)",
    "branch": "x = 0\nif a: x = 1\nprobe('x', x)",
    "nested branch": "x = 0\nif a:\n    if b: x = 1\n    else: x = 2\nprobe('x', x)",
    "ternary": "probe('x', b if a else c)",
    "and or": "probe('x', a and b or c)",
    "chain": "probe('x', 0 <= a < b)",
    "walrus": "y = (z := a) + 1\nprobe('x', z)",
    "f-string": "probe('x', f'{a:>3}{b}')",
    "early return": "def f(v):\n    if v: return 1\n    return 2\nprobe('x', f(a))",
    "return in loop": "def f(v):\n    for i in range(3):\n        if i == v: return i\n    return -1\nprobe('x', f(a))",
    "implicit none": "def f(v):\n    if v: return 1\nprobe('x', f(a))",
    "recursion": "def f(n): return 0 if n <= 0 else 1 + f(n - 1)\nprobe('x', f(a + b))",
    "closure": "def f():\n    y = a\n    def g(): return y\n    return g\nprobe('x', f()())",
    "nonlocal": "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += a\n    g()\n    return n\nprobe('x', f())",
    "global": "n = 0\ndef f():\n    global n\n    if a: n = b\nf()\nprobe('x', n)",
    "default": "def f(x, y=a): return x + y\nprobe('x', f(1))",
    "star": "def f(*args, **kw): return args[0] + kw['u']\nprobe('x', f(*[a], **{'u': b}))",
    "lambda": "probe('x', (lambda v, w=b: v + w)(a))",
    "generator": "def g(n):\n    for i in range(n): yield i + b\nprobe('x', list(g(a)))",
    "generator sum": "probe('x', sum(i * b for i in range(a)))",
    "comprehension": "probe('x', [i for i in range(3) if i > a])",
    "dict comprehension": "probe('x', {i: b for i in range(a)})",
    "tuple target": "probe('x', [p + q for p, (q, r) in [(a, (b, 0))]])",
    "unpack": "x, *y = [a, b, c]\nprobe('x', x); probe('y', y)",
    "while": "n = 0\nwhile n < a: n += 1\nprobe('x', n)",
    "break": "n = 0\nfor i in range(3):\n    if i == a: break\n    n = i\nprobe('x', n)",
    "continue": "n = 0\nfor i in range(3):\n    if i == a: continue\n    n += 1\nprobe('x', n)",
    "for else": "n = 0\nfor i in range(3):\n    if i == a: break\nelse: n = 5\nprobe('x', n)",
    "list": "l = [1]\nif a: l.append(b)\nprobe('x', len(l)); probe('y', l[-1])",
    "list item": "l = [0, 0]\nl[a % 2] = 1\nprobe('x', l[0])",
    "insert": "l = [1]\nl.insert(a % 2, b)\nprobe('x', l[0])",
    "sort": "l = [a, b]\nl.sort()\nprobe('x', l[0])",
    "slice": "l = [1, 2, 3]\nprobe('x', l[a:])",
    "concatenate": "l = [1] + [a]\nl += [b]\nprobe('x', l)",
    "alias": "l = []\nm = l\nm.append(a)\nprobe('x', l)",
    "dict": "d = {}\nd[a] = 1\nprobe('x', d.get(1))",
    "dict value": "d = {'u': a}\nprobe('x', d['u'])",
    "dispatch": "d = {0: lambda: b, 1: lambda: c, 2: lambda: 7}\nprobe('x', d[a]())",
    "set": "s = {1}\ns.add(a)\nprobe('x', 2 in s)",
    "enumerate zip": "r = 0\nfor i, (p, q) in enumerate(zip([a, 1], [b, 2])): r += p * q * i\nprobe('x', r)",
    "items": "r = 0\nfor k, v in {'u': a}.items(): r += v\nprobe('x', r)",
    "map": "probe('x', list(map(lambda v: v + b, [a])))",
    "sorted key": "probe('x', sorted([1, 2, 3], key=lambda v: (v * a) % 3))",
    "iterator": "it = iter([1, 2, 3])\nif a: next(it)\nprobe('x', next(it))",
    "attribute": "class C: pass\no = C()\no.v = a\nprobe('x', o.v)",
    "attribute in branch": "class C: v = 0\no = C()\nif a: o.v = 1\nprobe('x', o.v)",
    "chosen object": "class C: v = 0\np, q = C(), C()\n(p if a else q).v = 1\nprobe('x', p.v)",
    "method": "class C:\n    def __init__(self, v): self.v = v\n    def get(self): return self.v\nprobe('x', C(a).get())",
    "property": "class C:\n    def __init__(self, v): self.v = v\n    @property\n    def w(self): return self.v + b\nprobe('x', C(a).w)",
    "operator": "class C:\n    def __init__(self, v): self.v = v\n    def __add__(self, o): return self.v + o\nprobe('x', C(a) + b)",
    "inherited": "class B:\n    def __init__(self, v): self.v = v\nclass C(B):\n    def __init__(self):\n        super().__init__(a)\nprobe('x', C().v)",
    "chosen class": "class B:\n    w = 1\nclass C(B):\n    w = 2\nprobe('x', (C if a else B)().w)",
    "class attribute": "class C:\n    v = a\nprobe('x', C().v)",
    "getattr": "class C: u = 1; w = 2\nprobe('x', getattr(C, 'u' if a else 'w'))",
    "setattr": "class C: pass\no = C()\nsetattr(o, 'v', a)\nprobe('x', o.v)",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass C:\n    v: int = 0\nprobe('x', C(a).v)",
    "try": "try:\n    x = {1: 5}[a]\nexcept KeyError:\n    x = 0\nprobe('x', x)",
    "raise": "try:\n    if a: raise ValueError\n    x = 1\nexcept ValueError:\n    x = 2\nprobe('x', x)",
    "finally": "x = 0\ntry:\n    x = a\nfinally:\n    x += 1\nprobe('x', x)",
    "with": "import contextlib\nx = 0\nwith contextlib.suppress(KeyError):\n    {1: 1}[a]\n    x = 1\nprobe('x', x)",
    "match": "match a:\n    case 0: x = 1\n    case v if b: x = v\n    case _: x = 9\nprobe('x', x)",
    "match sequence": "match [a, b]:\n    case [1, y]: x = y\n    case _: x = 0\nprobe('x', x)",
    "partial": "import functools\nf = functools.partial(lambda u, v: u + v, a)\nprobe('x', f(b))",
    "isinstance": "v = 1 if a else 'u'\nprobe('x', isinstance(v, int))",
    "locals": "def f():\n    q = a\n    return sorted(locals().items())\nprobe('x', f())",
    "private": "class C:\n    def __init__(self): self.__v = a\n    def get(self): return self.__v\nprobe('x', C().get())",
    "delete": "d = {'u': 1, 'w': 2}\nif a: del d['u']\nprobe('x', len(d))",
    "contextmanager": "import contextlib\n@contextlib.contextmanager\ndef m():\n    yield a\nwith m() as v: x = v\nprobe('x', x)",
}  # fmt: skip

VALUES = {"a": (0, 1, 2), "b": (1, 2), "c": (3, 4)}


def plain(text: str, values: dict[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    namespace = {"src": values.__getitem__, "probe": found.__setitem__, "__name__": "planted"}
    exec(compile(text, "<planted>", "exec", dont_inherit=True), namespace)
    return found


def tracked(text: str, values: dict[str, int]) -> tuple[dict[str, Any], dict[str, set[str]]]:
    names, found, labels = list(values), {}, {}
    made = Tracker()
    state = made.state

    def src(name: str) -> int: ...

    def probe(name: str, value: Any) -> None: ...

    def source(frame: Any, site: int, function: Any, pairs: Any, named: Any) -> Any:
        name = pairs[0][0]
        return values[name], state.label(names.index(name))

    def probed(frame: Any, site: int, function: Any, pairs: Any, named: Any) -> Any:
        (name, _), (value, own) = pairs
        found[name] = value
        own |= state.heap.deep(value)
        labels[name] = {label for position, label in enumerate(names) if own >> position & 1}
        return None, 0

    state.intrinsics = {id(src): source, id(probe): probed}
    tree, places = instrument(ast.parse(text), lambda nodes: True)
    state.places = {place.number: place for place in places}
    exec(
        compile(tree, "<planted>", "exec", dont_inherit=True),
        {"_tk": made, "src": src, "probe": probe, "__name__": "planted"},
    )
    return found, labels


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_change_only_with_their_labels(name: str) -> None:
    text = SETUP + PROGRAMS[name]
    results = {}
    for combination in itertools.product(*VALUES.values()):
        values = dict(zip(VALUES, combination, strict=True))
        found, labels = tracked(text, values)
        assert found == plain(text, values)
        results[combination] = found, labels
    for one, two in itertools.combinations(results, 2):
        changed = [label for label, x, y in zip(VALUES, one, two, strict=True) if x != y]
        if len(changed) == 1:
            for probe, value in results[one][0].items():
                if value != results[two][0].get(probe):
                    assert changed[0] in results[one][1][probe] | results[two][1][probe], (one, two, probe)


def test_labels_are_no_more_than_needed() -> None:
    text = SETUP + (
        "layers = []\nclass C: pass\no = C()\no.u, o.w = a, b\nfor i in range(2): layers.append(c)\n"
        "probe('length', len(layers)); probe('item', layers[0]); probe('u', o.u); probe('i', i)"
    )
    _, labels = tracked(text, {"a": 1, "b": 1, "c": 1})
    assert labels == {"length": set(), "item": {"c"}, "u": {"a"}, "i": set()}


def test_the_oracle_notices_a_lost_label() -> None:
    results = tracked(SETUP + "probe('x', a)", {"a": 0, "b": 1, "c": 3})
    assert results[1]["x"] == {"a"}
    assert tracked(SETUP + "probe('x', 1)", {"a": 0, "b": 1, "c": 3})[1]["x"] == set()


# -- the tables of operations ------------------------------------------------------------------------

OWNERS = {"_tk_f": frame.Frame, "_tk": tracker.Tracker}
READ = {"_tk_f": {"at", "args"}, "_tk": set()}
"""What is read off a frame and is no operation."""


def table(text: str | None) -> dict[str, str]:
    """Return the operations of a table in a docstring, each with its construct."""
    rows = [line.strip().strip("|").split("|") for line in (text or "").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows[2:]]
    assert all(len(row) == 3 and all(row) for row in cells), "operation, Python construct, meaning"
    return {name: construct.replace("\\n", "\n") for name, construct, _ in cells}


TABLES = {"_tk_f": table(frame.__doc__), "_tk": table(tracker.__doc__)}
ROWS = [(owner, name) for owner, rows in TABLES.items() for name in rows]


def used(text: str, owner: str) -> set[str]:
    """Return what the rewritten form of a text uses of the frame or the tracker."""
    tree, _ = instrument(ast.parse(text), lambda nodes: True, reserved="hooks")
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == owner
    }


@pytest.mark.parametrize("owner", OWNERS)
def test_a_table_has_all_methods_and_no_other(owner: str) -> None:
    public = {name for name, value in vars(OWNERS[owner]).items() if callable(value) and name[0] != "_"}
    assert list(TABLES[owner]) == list(dict.fromkeys(TABLES[owner]))
    assert set(TABLES[owner]) == public


@pytest.mark.parametrize(("owner", "name"), ROWS)
def test_an_operation_stands_in_the_rewritten_form_of_its_construct(owner: str, name: str) -> None:
    assert name in used(TABLES[owner][name], owner)


@pytest.mark.parametrize("owner", OWNERS)
def test_rewritten_code_uses_nothing_else(owner: str) -> None:
    texts = [*(SETUP + text for text in PROGRAMS.values()), *TABLES["_tk_f"].values()]
    found = set().union(*(used(text, owner) for text in texts))
    assert found <= set(TABLES[owner]) | READ[owner]


def test_the_test_notices_an_operation_in_the_wrong_row() -> None:
    assert "bin" not in used(TABLES["_tk_f"]["cmp"], "_tk_f")
