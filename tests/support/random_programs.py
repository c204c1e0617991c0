# ruff: noqa: E501  (program texts in tables)
"""Random programs whose points depend on each other in every way that Python has, as texts for the planted runner."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

HEADER = """\
class Net:
    bias = 1
    def __init__(self, start):
        self.planes = start
        self.layers = []
        self.flag = False
        self.table = {}
        self.on = True
    @property
    def depth(self):
        return len(self.layers)
    def grow(self, name, width):
        if self.planes != width:
            self.layers.append(choose(f"{name}.down", [0, 1]))
        self.planes = width
        self.layers.append(width)
        return self
    def off(self):
        self.on = False
    def mark(self, value):
        self.flag = value
        self.table[value] = value
class Wide(Net):
    bias = 2
    def mark(self, value):
        super().mark(not value)
net = Net(1)
shared = []
def pick(value, limit=1):
    if value > limit:
        return value - limit
    return value
def early(name, value):
    for i in range(3):
        if i == value:
            return i
        if i + value == 3:
            choose(f"{name}.e{i}", [0, 1])
    return -1
def counter(stop):
    n = 0
    while n < stop:
        yield n
        n += 1
def recurse(name, depth):
    if depth <= 0:
        return 0
    k = choose(f"{name}.r{depth}", [0, 1])
    return recurse(name, depth - 1 - k) + 1
def returned(value):
    try:
        return {0: 1, 1: 2}[value]
    except KeyError:
        pass
    return 0
def skipped(value):
    pairs = zip([value, 1, value], [2, value, 0])
    for p, q in pairs:
        if q > 1:
            break
    return [p for p, q in pairs] or [q]
def maker(value):
    total = 0
    def add(x):
        nonlocal total
        total += x
        return total + value
    return add
"""


@dataclass
class Writer:
    """Writes one program; `draw` makes every decision about it."""

    draw: object
    budget: int
    names: list[str] = field(default_factory=lambda: ["one"])
    count: int = 0

    def fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def pick(self, options: list) -> object:
        return self.draw(st.sampled_from(options))  # type: ignore[operator]

    def choice(self, loops: list[str], known: list[str] | None = None) -> str:
        self.budget -= 1
        self.count += 1
        turns = "".join(f"[{{{name}}}]" for name in loops)
        values = self.pick([[0, 1], [0, 1, 2], [True, False], [1, 3]])
        return f'choose(f"p{self.count}{turns}", {values})'

    def value(self, names: list[str]) -> str:
        a, b = self.pick(names), self.pick(names)
        return str(self.pick([
            a, f"{a} + {b}", f"pick({a})", f"max({a}, {b})", f"({a} if {b} else 0)", f"len([q for q in range(3) if q > {a}])",
            f"{{0: {a}, 1: {b}}}.get({b}, 2)", f"({a}, {b})[0]", f"sum(counter({a}))", f"(lambda z: z + {a})({b})",
            "net.depth", "int(net.flag)", "net.planes", f"[{a}, {b}][-1]", f"early('e{self.count}', {a})" if False else a,
            f"({a} and {b})", f"({a} or {b})", "len(shared)", f"maker({a})({b})", f"len(f'{{{a}}}') % 3", "net.bias", "int(net.on)", f"[len(y) for x, *y in [range(int({a}) % 3 + 1)]][0]", f"returned({a})", f"[*skipped({a})][0]",
            f"dict(u={a}, w={b})['u']", f"[*range({a}), {b}][0]", f"int(not {a})", f"sum(i * j for i, j in zip([{a}, 1], [{b}, 2]))",
        ]))  # fmt: skip

    def condition(self, names: list[str]) -> str:
        a = self.value(names)
        return str(self.pick([f"{a} > 1", f"{a} == 1", f"{a}", f"not {a}", f"0 < {a} < 3", f"{a} in (1, 2)",
                              f"{a} > 0 and {self.value(names)} > 0", f"{a} == {self.value(names)}"]))  # fmt: skip

    def block(self, indent: str, names: list[str], loops: list[str], depth: int, place: str) -> list[str]:
        lines: list[str] = []
        names = list(names)
        for _ in range(self.draw(st.integers(1, 3))):  # type: ignore[operator]
            lines += self.statement(indent, names, loops, depth, place)
        return lines

    def statement(self, indent: str, names: list[str], loops: list[str], depth: int, place: str) -> list[str]:
        simple = ["choice", "choice", "value", "mutate", "mark", "shared", "aug", "take"]
        nested = [
            "if",
            "if",
            "ifelse",
            "for",
            "while",
            "match",
            "try",
            "grow",
            "early",
            "recurse",
            "comp",
            "class",
            "set",
        ]
        if place == "loop":
            simple += ["break", "continue"]
        kind = self.pick(simple + (nested if depth and self.budget > 0 else []))
        if kind == "choice" and self.budget <= 0:
            kind = "value"
        return getattr(self, f"_{kind}")(indent, names, loops, depth, place)

    def _choice(self, indent, names, loops, depth, place):
        name, text = self.fresh(), self.choice(loops)
        names.append(name)
        return [f"{indent}{name} = {text}"]

    def _value(self, indent, names, loops, depth, place):
        target = self.pick([n for n in names if n != "one" and n not in loops] or [self.fresh()])
        text = self.value(names)
        if target not in names:
            names.append(target)
        return [f"{indent}{target} = {text}"]

    def _aug(self, indent, names, loops, depth, place):
        targets = [n for n in names if n != "one" and n not in loops]
        if not targets:
            return [f"{indent}pass"]
        return [f"{indent}{self.pick(targets)} += {self.value(names)}"]

    def _mutate(self, indent, names, loops, depth, place):
        a = self.value(names)
        return [indent + self.pick([f"net.layers.append({a})", f"net.planes = {a}", f"net.layers = [{a}]",
                                    f"net.layers += [{a}, 1]"])]  # fmt: skip

    def _take(self, indent, names, loops, depth, place):
        # Under a condition, what is taken away here may be what the defaults meet.
        return [indent + self.pick(["net.off()", "net.on = 0", "net.layers.clear()", "shared.clear()",
                                    "net.layers[-1:] = []", "net.table.pop(1, None)"])]  # fmt: skip

    def _mark(self, indent, names, loops, depth, place):
        return [f"{indent}net.mark({self.value(names)})"]

    def _shared(self, indent, names, loops, depth, place):
        return [f"{indent}shared.append({self.value(names)})"]

    def _class(self, indent, names, loops, depth, place):
        return [f"{indent}net = (Wide if {self.condition(names)} else Net)(1)"]

    def _set(self, indent, names, loops, depth, place):
        a, text = self.value(names), self.choice(loops)
        return [f"{indent}net.table[{a}] = 1", f"{indent}if 1 in net.table:", f"{indent}    {text}"]

    def _if(self, indent, names, loops, depth, place):
        return [
            f"{indent}if {self.condition(names)}:",
            *self.block(indent + "    ", names, loops, depth - 1, place),
        ]

    def _ifelse(self, indent, names, loops, depth, place):
        return [*self._if(indent, names, loops, depth, place), f"{indent}elif {self.condition(names)}:",
                *self.block(indent + "    ", names, loops, depth - 1, place), f"{indent}else:",
                *self.block(indent + "    ", names, loops, depth - 1, place)]  # fmt: skip

    def _for(self, indent, names, loops, depth, place):
        name = self.fresh()
        over = self.pick(
            [f"range({self.value(names)} % 3)", "range(2)", f"range(min(2, max(0, {self.value(names)})))"]
        )
        body = self.block(indent + "    ", [*names, name], [*loops, name], depth - 1, "loop")
        tail = (
            [f"{indent}else:", *self.block(indent + "    ", names, loops, 0, place)]
            if self.pick([0, 0, 1])
            else []
        )
        return [f"{indent}for {name} in {over}:", *body, *tail]

    def _while(self, indent, names, loops, depth, place):
        name = self.fresh()
        body = self.block(indent + "    ", [*names, name], [*loops, name], depth - 1, "loop")
        return [
            f"{indent}{name} = -1",
            f"{indent}while {name} < min(1, {self.value(names)}):",
            f"{indent}    {name} += 1",
            *body,
        ]

    def _match(self, indent, names, loops, depth, place):
        return [f"{indent}match {self.value(names)}:", f"{indent}    case 0:",
                *self.block(indent + " " * 8, names, loops, depth - 1, place), f"{indent}    case 1 | 2:",
                *self.block(indent + " " * 8, names, loops, depth - 1, place)]  # fmt: skip

    def _try(self, indent, names, loops, depth, place):
        return [f"{indent}try:", f"{indent}    {{1: 1, 2: 2}}[{self.value(names)}]",
                *self.block(indent + "    ", names, loops, 0, "try"), f"{indent}except KeyError:",
                *self.block(indent + "    ", names, loops, 0, "try")]  # fmt: skip

    def _grow(self, indent, names, loops, depth, place):
        self.count += 1
        self.budget -= 1
        turns = "".join(f"[{{{name}}}]" for name in loops)
        return [f'{indent}net.grow(f"g{self.count}{turns}", {self.value(names)})']

    def _early(self, indent, names, loops, depth, place):
        name = self.fresh()
        self.budget -= 1
        turns = "".join(f"[{{{loop}}}]" for loop in loops)
        line = f'{indent}{name} = early(f"h{self.count}{turns}", {self.value(names)})'
        names.append(name)
        return [line]

    def _recurse(self, indent, names, loops, depth, place):
        self.count += 1
        self.budget -= 2
        turns = "".join(f"[{{{loop}}}]" for loop in loops)
        return [f'{indent}recurse(f"c{self.count}{turns}", min(2, {self.value(names)}))']

    def _comp(self, indent, names, loops, depth, place):
        name, inner = self.fresh(), self.fresh()
        condition, text = self.condition([*names, inner]), self.choice([*loops, inner])
        line = f"{indent}{name} = sum([{text} for {inner} in range(2) if {condition}])"
        names.append(name)
        return [line]

    def _break(self, indent, names, loops, depth, place):
        return [f"{indent}if {self.condition(names)}: break"]

    def _continue(self, indent, names, loops, depth, place):
        return [f"{indent}if {self.condition(names)}: continue"]


@st.composite
def program_texts(draw: object, points: int = 5, depth: int = 3) -> str:
    """Draw a program."""
    writer = Writer(draw, points)
    body = writer.block("    ", ["one"], [], depth, "function")
    return "\n".join([HEADER, "def main(net):", "    one = 1", *body, "main(net)", ""])
