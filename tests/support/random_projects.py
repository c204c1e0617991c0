"""Random programs as lists of definitions that use each other, written into one file or into several."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

SPELLINGS = ("from", "as", "module", "module as", "star", "inside")


@dataclass
class Definition:
    """A definition and the names of those that it uses; in `text` a use of `f` is written `<f>`."""

    name: str
    text: str
    uses: tuple[str, ...]


def definitions(rng: random.Random, count: int) -> list[Definition]:
    """Return definitions, each using some before it; the last is the target, `main`."""
    made: list[Definition] = []

    def use() -> str:
        name = rng.choice(made).name if made and rng.random() < 0.8 else ""
        if not name:
            return "1"
        kind = name.rstrip("0123456789")
        return {"C": "<{}>", "f": "<{}>()", "K": "<{}>(2).value", "D": "<{}>().size"}[kind].format(name)

    def add(kind: str, text: str) -> None:
        name = f"{kind}{len(made)}"
        text = text.replace("NAME", name)
        made.append(Definition(name, text, tuple(dict.fromkeys(re.findall(r"<(\w+)>", text)))))

    for _ in range(count):
        kind = rng.choice("CfffKKD")
        a, b, c = rng.sample(range(1, 9), 3)
        choice = f"  # search: {{{a}, {b}}}" if rng.random() < 0.8 else ""
        if kind == "C":
            add("C", f"NAME = {a}{choice}\n")
        elif kind == "D":
            add("D", f"@dataclass\nclass NAME:\n    size: int = {a}{choice}\n    other: int = {c}\n")
        elif kind == "K":
            add(
                "K",
                f"class NAME:\n    scale = {c}\n\n    def __init__(self, start):\n        k = {a}{choice}\n"
                f"        inner = {use()}\n"
                "        self.value = (start, k * self.scale, inner, self.more())\n\n"
                f"    def more(self):\n        m = {use()}\n        return m\n",
            )
        elif rng.random() < 0.4:
            add(
                "f",
                f"def NAME():\n    found = []\n    for i in range(2):\n        x = {a}{choice}\n"
                f"        found.append((x, {use()}))\n    return found\n",
            )
        else:
            add(
                "f",
                f"def NAME():\n    a = {a}{choice}\n    b = {use()}\n    if a == {b}:\n"
                f"        c = {use()}\n        return a, b, c\n    return a, b\n",
            )
    parts = [use() for _ in range(3)]
    lines = "".join(f"    p{index} = {part}\n" for index, part in enumerate(parts))
    add("main", f"def NAME():\n{lines}    return p0, p1, p2\n")
    made[-1] = Definition("main", made[-1].text.replace(made[-1].name, "main"), made[-1].uses)
    return made


def in_one(made: list[Definition]) -> dict[str, str]:
    """Write all definitions into one file."""
    body = "\n\n".join(re.sub(r"<(\w+)>", r"\1", each.text) for each in made)
    return {"net.py": f"from dataclasses import dataclass\n\n{body}"}


def in_several(rng: random.Random, made: list[Definition], package: str) -> dict[str, str]:
    """Write definitions into a few files of a package, or of a folder where `package` is empty.

    Earlier files know nothing of later ones, so imports run one way. The target is in the last file.
    """
    modules = [f"m{index}" for index in range(rng.randint(1, 3))] + ["net"]
    cuts = sorted(rng.randrange(len(made)) for _ in modules[1:])
    home = {}
    for position, each in enumerate(made):
        home[each.name] = modules[sum(position >= cut for cut in cuts)]
    home["main"] = "net"
    files = {}
    for module in modules:
        imports: list[str] = []
        spelled: dict[str, str] = {}
        body = []
        for each in (each for each in made if home[each.name] == module):
            text = each.text
            for name in each.uses:
                if home[name] == module:
                    spelled[name] = name
                elif name not in spelled:
                    spelled[name] = _imported(rng, name, home[name], package, imports)
                if spelled[name].startswith("inside:"):
                    line = spelled[name].removeprefix("inside:")
                    text = re.sub(rf"( +)(.*<{name}>)", rf"\1{line}\n\1\2", text)
                    text = text.replace(f"<{name}>", name)
                text = text.replace(f"<{name}>", spelled[name])
            body.append(text)
        head = "\n".join(["from dataclasses import dataclass", *dict.fromkeys(imports)])
        files[f"{package}/{module}.py" if package else f"{module}.py"] = f"{head}\n\n\n" + "\n\n".join(body)
    return {**files, f"{package}/__init__.py": ""} if package else files


def _imported(rng: random.Random, name: str, module: str, package: str, imports: list[str]) -> str:
    """Add an import of a name in one of many spellings, and return what the name is called by it."""
    relative = f".{module}" if package else module
    spelling = rng.choice(SPELLINGS)
    if spelling == "as":
        imports.append(f"from {relative} import {name} as its_{name}")
        return f"its_{name}"
    if spelling == "star":
        imports.append(f"from {relative} import *")
        return name
    if spelling == "inside":
        return f"inside:from {relative} import {name}"
    if spelling.startswith("module"):
        local = module if spelling == "module" else f"the_{module}"
        suffix = "" if spelling == "module" else f" as {local}"
        imports.append(f"from . import {module}{suffix}" if package else f"import {module}{suffix}")
        return f"{local}.{name}"
    imports.append(f"from {relative} import {name}")
    return name
