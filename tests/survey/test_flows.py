# ruff: noqa: E501  (program texts in tables)
"""Ways by which a choice reaches a condition, each in several forms, against running every decision."""

from __future__ import annotations

import pytest
from planted import really, surveyed

S = "class S: k = 0\ns = S()\n"
A, B, P = "choose('a', [0, 1])", "choose('b', [0, 1])", "choose('p', [0, 1])"
N = "choose('n', [1, 2, 3])"
C = "import contextlib\nclass C:\n    def __enter__(self): return self\n    def __exit__(self, *e): return True\n"
GET = "import operator\n"

PROGRAMS = {
    # the number of items that a starred target takes
    "rest, counted": f"x, *y = range({N})\nfor i in range(len(y)): choose(f'p{{i}}', [0, 1])\n",
    "rest, gone through": f"x, *y = range({N})\nfor i in y: choose(f'p{{i}}', [0, 1])\n",
    "rest, as a truth": f"x = [1]\nif {A}: x.append(2)\nfirst, *y = x\nif y: {P}\n",
    "rest in the middle": f"x, *y, z = range({N} + 1)\nfor i in y: choose(f'p{{i}}', [0, 1])\n",
    "rest first": f"*y, z = range({N})\nif z == 2: {P}\n",
    "rest of a rest": f"x, *y = range({N})\n*u, = y\nif u: {P}\n",
    "rest in a loop's target": f"for x, *y in [range({N})]:\n    for i in y: choose(f'p{{i}}', [0, 1])\n",
    "rest in a comprehension": f"if sum([len(y) for x, *y in [range({N})]]) == 2: {P}\n",
    "rest of a generator": f"x, *y = (i for i in range({N}))\nif len(y) == 1: {P}\n",
    # iterators that do not begin at their first item
    "zip again": f"c = {A}\nz = zip([1, 2], [3, c])\nfor p in z: break\nfor q, r in z:\n    if r: {P}\n",
    "enumerate again": f"c = {A}\nz = enumerate([0, c, 0])\nfor p in z: break\nfor i, r in z:\n    if r: {P}\n",
    "reversed again": f"c = {A}\nz = reversed([0, c, 0])\nfor p in z: break\nfor r in z:\n    if r: {P}\n",
    "zip in a comprehension again": f"c = {A}\nz = zip([1, 2], [3, c])\nfor p in z: break\nif sum([r for q, r in z]): {P}\n",
    "zip again, taken apart": f"c = {A}\nz = zip([1, 2], [3, c])\nfor p in z: break\n((q, r),) = z\nif r: {P}\n",
    "zip over what is begun": f"c = {A}\ne = enumerate([0, c])\nfor p in e: break\nfor (i, r), q in zip(e, [1]):\n    if r: {P}\n",
    "what a zip has moved on": f"c = {A}\ne = enumerate([0, c])\nfor p, q in zip(e, [1]): break\nfor i, r in e:\n    if r: {P}\n",
    "as far as is chosen": f"c = {A}\nz = enumerate([0, 0, 1, 0])\nfor p in z:\n    if c: break\nfor i, r in z:\n    if r: {P}\n",
    "as far as is chosen, of a generator": f"c = {A}\nz = (i for i in [0, 0, 1])\nfor p in z:\n    if not c: break\nfor r in z:\n    if r: {P}\n",
    "as far as is chosen, of a generator function": f"c = {A}\ndef g():\n    yield from (0, 0, 1)\nz = g()\nfor p in z:\n    if not c: break\nfor r in z:\n    if r: {P}\n",
    "as far as is chosen, of an iterator": f"c = {A}\nz = iter([0, 0, 1])\nfor p in z:\n    if not c: break\nfor r in z:\n    if r: {P}\n",
    "moved on under a condition": f"z = zip([0, 1])\nif {A}:\n    for p in z: break\nfor (r,) in z: choose(f'p{{r}}', [0, 1])\n",
    # patterns that name values
    "value in a pattern": f"{S}s.k = {A}\nmatch 1:\n    case s.k: {P}\n    case _: pass\n",
    "value further in": f"{S}s.t = S()\ns.t.k = {A}\nmatch 1:\n    case s.t.k: {P}\n",
    "value in a sequence": f"{S}s.k = {A}\nmatch [1, 2]:\n    case [s.k, x]: {P}\n",
    "value among others": f"{S}s.k = {A}\nmatch 1:\n    case 5 | s.k: {P}\n",
    "value of a mapping": f"{S}s.k = {A}\nmatch {{'u': 1}}:\n    case {{'u': s.k}}: {P}\n",
    "key of a mapping": f"{S}s.k = {A}\nmatch {{1: 7}}:\n    case {{s.k: x}}: {P}\n",
    "value in a class": f"{S}s.k = {A}\nt = S()\nt.k = 1\nmatch t:\n    case S(k=s.k): {P}\n",
    "class in a pattern": f"K = int if {A} else str\nmatch 1:\n    case K(): {P}\n",
    "value that an earlier case keeps from being read": f"{S}s.k = {A}\nmatch s.k:\n    case 0 | 1: {P}\n    case s.none: pass\n",
    "value of a class attribute": f"class T: k = {A}\nmatch 1:\n    case T.k: {P}\n    case _: {B}\n",
    # attributes of functions
    "attribute of a function": f"def f(): pass\nf.k = {A}\nif f.k: {P}\n",
    "attribute of a function, set inside it": f"def f(): f.k = a\na = {A}\nf()\nif f.k: {P}\n",
    "attribute of a function, counted": f"def f(): f.n += 1\nf.n = 0\nif {A}: f()\nif f.n: {P}\n",
    "attribute of a function, under a condition": f"def f(): return f.n\nf.n = 0\nif {A}: f.n = 1\nif f(): {P}\n",
    "attribute of a function, taken away": f"def f(): pass\nf.n = 1\nif {A}: del f.n\nif hasattr(f, 'n'): {P}\n",
    "attribute of a lambda": f"f = lambda: 1\nf.k = {A}\nif getattr(f, 'k'): {P}\n",
    "attribute of one of two functions of one text": f"def make():\n    def f(): pass\n    f.n = 0\n    return f\nu, v = make(), make()\nif {A}: v.n = 1\nif u.n: {B}\nif v.n: {P}\n",
    "attribute of a function, read by others": f"{GET}def f(): pass\nf.k = {A}\nif operator.attrgetter('k')(f): {P}\n",
    "set by a decorator": f"def mark(f):\n    f.k = a\n    return f\na = {A}\n@mark\ndef g(): pass\nif g.k: {P}\n",
    # what is inside objects that native code looks into
    "slot of a base": f"{GET}class X:\n    __slots__ = ('x',)\nclass Y(X):\n    __slots__ = ('y',)\n{S}b = Y()\nb.x = s\ns.k = {A}\nif operator.attrgetter('x.k')(b): {P}\n",
    "slot in a text": f"{GET}class X:\n    __slots__ = 'x'\n{S}b = X()\nb.x = s\ns.k = {A}\nif operator.attrgetter('x.k')(b): {P}\n",
    "slot with a private name": f"class X:\n    __slots__ = ('__x',)\n    def __init__(self, x): self.__x = x\n{GET}{S}b = X(s)\ns.k = {A}\nif operator.attrgetter('_X__x.k')(b): {P}\n",
    "slots and a dictionary": f"{GET}class X:\n    __slots__ = ('x',)\nclass Y(X): pass\n{S}b = Y()\nb.x = s\nb.u = 1\ns.k = {A}\nif operator.attrgetter('x.k')(b): {P}\n",
    "slot of a list": f"{GET}class X(list):\n    __slots__ = ('x',)\n{S}b = X()\nb.x = s\ns.k = {A}\nif operator.attrgetter('x.k')(b): {P}\n",
    "item of a deque": f"{GET}from collections import deque\n{S}d = deque([s])\ns.k = {A}\nif list(map(operator.attrgetter('k'), d))[0]: {P}\n",
    "deque in a list": f"{GET}from collections import deque\n{S}d = [deque([s])]\ns.k = {A}\nif operator.attrgetter('k')(operator.itemgetter(0)(d[0])): {P}\n",
    "deque appended to": f"from collections import deque\nd = deque()\nif {A}: d.append(1)\nif d: {P}\n",
    "argument of a partial": f"{GET}import functools\n{S}f = functools.partial(operator.attrgetter('k'), s)\ns.k = {A}\nif f(): {P}\n",
    # exceptions out of the middle of an expression
    "text given up": f"g = {A}\ndef h(i):\n    if i == 0: return g\n    try: return f'{{[][i]}}'\n    except IndexError: return 0\nif sum(map(h, [0, 1])): {P}\n",
    "text given up in a function": f"g = {A}\ndef t(i): return f'{{[][i]}}'\ndef h(i):\n    if i == 0: return g\n    try: return t(i)\n    except IndexError: return 0\nif sum(map(h, [0, 1])): {P}\n",
    "text given up twice": f"g = {A}\ndef h(i):\n    if i == 0: return g\n    try: return f'{{f\"{{[][i]}}\"}}'\n    except IndexError: return 0\nif max(map(h, [0, 1])): {P}\n",
    "text given up in a context": f"{C}g = {A}\ndef h(i):\n    if i == 0: return g\n    with C(): return f'{{[][i]}}'\n    return 0\nif sum(map(h, [0, 1])): {P}\n",
    "text given up in a lambda": f"g = {A}\nt = lambda i: f'{{[][i]}}'\ndef h(i):\n    if i == 0: return g\n    try: return t(i)\n    except IndexError: return 0\nif sum(map(h, [0, 1])): {P}\n",
    # several targets of one `del`
    "del of a tuple": f"{S}s.k = 1\nl = [1, 2]\nif {A}:\n    del (l[0], s.k)\nif len(l) == 1: {P}\n",
    "del of a tuple, the attribute": f"{S}s.u = 1\nl = [1, 2]\nif {A}:\n    del (l[0], s.u)\nif hasattr(s, 'u'): {P}\n",
    "del of a list": f"d = {{1: 1, 2: 2}}\nif {A}:\n    del [d[1], d[2]]\nif d: {P}\n",
    "del in a tuple in a tuple": f"l, m = [1, 2], [3]\nif {A}:\n    del (l[0], (m[0],))\nif not m: {P}\n",
    "del of names and items": f"l, x = [1, 2], 1\nif {A}:\n    del (x, l[-1])\nif len(l) == 2: {P}\n",
    # contexts that swallow an exception
    "swallowed before a return": f"{C}def f():\n    with C():\n        {{1: 2}}[{A}]\n        return 1\n    {P}\nf()\n",
    "swallowed before a break": f"{C}for i in range(2):\n    with C():\n        {{1: 2}}[{A}]\n        break\n    choose(f'p{{i}}', [0, 1])\n",
    "swallowed before a continue": f"{C}a = {A}\nfor i in range(2):\n    with C():\n        {{1: 2}}[a + i]\n        continue\n    choose(f'p{{i}}', [0, 1])\n",
    "swallowed before a return under a condition": f"{C}def f():\n    b = {B}\n    with C():\n        {{1: 2}}[{A}]\n        if b: return 1\n    {P}\nf()\n",
    "swallowed by suppress": f"{C}def f():\n    with contextlib.suppress(KeyError):\n        {{1: 2}}[{A}]\n        return 1\n    {P}\nf()\n",
    "swallowed by one of two": f"{C}def f():\n    with contextlib.nullcontext(), C():\n        {{1: 2}}[{A}]\n        return 1\n    {P}\nf()\n",
    "swallowed inside": f"{C}def f():\n    with C():\n        with contextlib.nullcontext():\n            {{1: 2}}[{A}]\n        return 1\n    {P}\nf()\nchoose('q', [0, 1])\n",
    "returned from a try": f"def f():\n    try:\n        {{1: 2}}[{A}]\n        return 1\n    except KeyError: pass\n    return 0\nif f(): {P}\n",
    "returned from a try in a try": f"def f():\n    try:\n        {{1: 2}}[{A}]\n        try: return 1\n        except IndexError: pass\n    except KeyError: pass\n    return 0\nif f(): {P}\n",
    "returned from a try, with finally": f"def f():\n    try:\n        {{1: 2}}[{A}]\n        return 1\n    except KeyError: return 0\n    finally: pass\nif f(): {P}\n",
    "returned through a finally": f"def g():\n    try:\n        {{1: 2}}[{A}]\n        return 1\n    finally: pass\ndef f():\n    try: return g()\n    except KeyError: return 0\nif f(): {P}\n",
    "returned from a loop in a try": f"def f():\n    try:\n        for i in range(2):\n            {{1: 2}}[{A}]\n            return 1\n    except KeyError: pass\n    return 0\nif f(): {P}\n",
    "what a swallowing function returns": f"{C}def f():\n    with C():\n        {{1: 2}}[{A}]\n        return 1\n    return 0\nif f(): {P}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_tree_has_exactly_the_decisions_of_the_program(name: str) -> None:
    assert surveyed(PROGRAMS[name]) == really(PROGRAMS[name])


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_tree_is_complete_before_it_is_checked(name: str) -> None:
    assert surveyed(PROGRAMS[name], checks=0) == really(PROGRAMS[name])
