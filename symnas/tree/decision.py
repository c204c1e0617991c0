"""One decision: a frozen mapping from the addresses that exist to values."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from symnas._typing import Value
from symnas.errors import DecisionError, nearest
from symnas.tree.choices import FloatRange, identity, show
from symnas.tree.layout import REAL, SINGLE, Entry, Layout
from symnas.tree.subsets import INACTIVE, UNUSED

if TYPE_CHECKING:
    from symnas.tree.space import Space

KEY_BYTES = 16
_TYPECODES = {1: "b", 2: "h", 4: "i", 8: "q"}


@dataclass(frozen=True, slots=True)
class Difference:
    """What separates two decisions.

    Args:
        changed: addresses in both, with the value before and after.
        removed: addresses only in the first, with their values.
        added: addresses only in the second, with their values.
    """

    changed: dict[str, tuple[Value, Value]]
    removed: dict[str, Value]
    added: dict[str, Value]

    def __bool__(self) -> bool:
        """Tell whether anything differs."""
        return bool(self.changed or self.removed or self.added)

    def __str__(self) -> str:
        """Render one line per address."""
        lines = [f"{a}: {show(old)} -> {show(new)}" for a, (old, new) in self.changed.items()]
        lines += [f"{a}: {show(value)} -> (absent)" for a, value in self.removed.items()]
        lines += [f"{a}: (absent) -> {show(value)}" for a, value in self.added.items()]
        return "\n".join(lines) or "no difference"


class Decision(Mapping[str, Value]):
    """A value for every point that exists under it; hashable, and equal by space and values.

    Made by a space (`space.default`, `space.decision(...)`, batches), never by hand. Iteration yields the
    addresses that have a value of their own, in tree order; a tie's address is looked up as well.
    """

    __slots__ = ("_key", "_row", "_space", "_values")

    def __init__(self, space: Space, row: bytes, values: dict[str, Value] | None = None) -> None:
        self._space = space
        self._row = row
        self._values = values
        self._key: str | None = None

    @property
    def space(self) -> Space:
        """The space the decision belongs to."""
        return self._space

    @property
    def row(self) -> bytes:
        """The canonical form that is hashed: codes, then floats."""
        return self._row

    @property
    def _mapping(self) -> dict[str, Value]:
        if self._values is None:
            self._values = decode_row(self.space.layout, self.row)
        return self._values

    def __getitem__(self, address: str) -> Value:
        """Return the value at an address; a tie's is its target's."""
        values = self._mapping
        if address in values:
            return values[address]
        layout = self.space.layout
        number = layout.index.get(address)
        if number is not None and layout.entries[number].tied and self.is_active(address):
            return values[layout.entries[number].domain.address]
        raise KeyError(address)

    def __iter__(self) -> Iterator[str]:
        """Yield the addresses with a value, in tree order."""
        return iter(self._mapping)

    def __len__(self) -> int:
        """Return how many points have a value."""
        return len(self._mapping)

    def is_active(self, address: str) -> bool:
        """Tell whether the point at an address exists under this decision."""
        entry = self.space.entry(address)
        if not entry.tied:
            return address in self._mapping
        codes, reals = unpack_row(self.space.layout, self.row)
        return (
            reals[entry.column] == reals[entry.column]
            if entry.shape == REAL
            else codes[entry.column] != INACTIVE
        )

    def __eq__(self, other: object) -> bool:
        """Compare with another decision: equal spaces and equal values."""
        if not isinstance(other, Decision):
            return NotImplemented
        return self.row == other.row and (self.space is other.space or self.space == other.space)

    def __hash__(self) -> int:
        """Hash by the values."""
        return hash(self.row)

    @property
    def key(self) -> str:
        """Canonical hash (32 hex digits), the same in every process for equal decisions of equal spaces."""
        if self._key is None:
            seed = self.space.key_seed
            self._key = blake2b(self.row, digest_size=KEY_BYTES, key=seed).hexdigest()
        return self._key

    def flat(self) -> dict[str, Value]:
        """Return a plain dictionary from address to value."""
        return dict(self._mapping)

    def to_json(self) -> dict[str, Any]:
        """Return nested plain data, a level per segment of the addresses; `space.decision` reads it back."""
        from symnas.tree.serialization import nest

        return nest(self._mapping)

    def replace(self, changes: Mapping[str, Value]) -> Decision:
        """Return a copy with some values changed; what that brings into being takes its default.

        Raises:
            DecisionError: an address is unknown or absent after the change, or a value is not allowed.
        """
        return build(self.space, changes, self._mapping)

    @staticmethod
    def diff(before: Mapping[str, Value], after: Mapping[str, Value]) -> Difference:
        """Return what separates two decisions, by address."""
        changed = {
            a: (before[a], after[a])
            for a in before
            if a in after and identity(before[a]) != identity(after[a])
        }
        removed = {a: before[a] for a in before if a not in after}
        return Difference(changed, removed, {a: after[a] for a in after if a not in before})

    def part(self, prefix: str, space: Space) -> Decision:
        """Return one factor's decision out of a product's, `space` being that factor.

        Args:
            prefix: the name the factor was given in `product`.
            space: the factor's own space.
        """
        cut = len(prefix) + 1
        mine = {a[cut:]: value for a, value in self._mapping.items() if a.startswith(prefix + ".")}
        return build(space, mine)

    def __repr__(self) -> str:
        """Show the values, shortened past a dozen."""
        items = [f"{address}: {show(value)}" for address, value in self._mapping.items()]
        rest = f", … {len(items) - 12} more" if len(items) > 12 else ""
        return "Decision({" + ", ".join(items[:12]) + rest + "})"

    def _repr_html_(self) -> str:
        from symnas.tree.rendering import decision_html

        return decision_html(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as space and row."""
        return Decision, (self.space, self.row)


# -------------------------------------------------------------------- rows


def unpack_row(layout: Layout, row: bytes) -> tuple[list[int], list[float]]:
    """Return a row's codes and floats as Python lists."""
    cut = layout.columns * layout.dtype.itemsize
    codes: list[int] = array(_TYPECODES[layout.dtype.itemsize], row[:cut]).tolist()
    return codes, array("d", row[cut:]).tolist()


def pack_row(layout: Layout, codes: list[int], reals: list[float]) -> bytes:
    """Return codes and floats as a row."""
    row = array(_TYPECODES[layout.dtype.itemsize], codes).tobytes()
    return row + array("d", reals).tobytes() if reals else row


def decode_row(layout: Layout, row: bytes) -> dict[str, Value]:
    """Return the mapping that a row stands for."""
    codes, reals = unpack_row(layout, row)
    values: dict[str, Value] = {}
    for entry in layout.own:
        column, point = entry.column, entry.point
        if entry.shape == SINGLE:
            if codes[column] >= 0:
                values[point.address] = point.value(codes[column])
        elif entry.shape == REAL:
            if reals[column] == reals[column]:
                values[point.address] = reals[column]
        elif codes[column] != INACTIVE:
            chosen = [code for code in codes[column : column + entry.width] if code >= 0]
            values[point.address] = point.value(chosen)
    return values


def holds_branch(layout: Layout, entry: Entry, codes: list[int]) -> bool:
    """Tell whether the branch a point stands in is taken, whatever its guards say."""
    parent = layout.entries[entry.parent]
    slots = codes[parent.column : parent.column + parent.width]
    if entry.branch is None or parent.domain.kind == "permutation":
        return slots[0] != INACTIVE
    return sum(code in entry.branch.when for code in slots) > entry.branch.occurrence


def holds(layout: Layout, entry: Entry, codes: list[int]) -> bool:
    """Tell whether a point exists, given the codes of all points before it."""
    if entry.branch is not None and not holds_branch(layout, entry, codes):
        return False
    return all(
        tuple(_seen(layout.entries[layout.index[a]], codes) for a in guard.addresses) in guard.allowed
        for guard in entry.point.guards
    )


def _seen(source: Entry, codes: list[int]) -> int:
    if source.shape == SINGLE:
        return codes[source.column]
    slots = codes[source.column : source.column + source.width]
    if slots[0] == INACTIVE:
        return INACTIVE
    return source.domain.rank(tuple(code for code in slots if code >= 0))


def put(entry: Entry, value: object, codes: list[int], reals: list[float]) -> None:
    """Write a point's value into its columns; a `DecisionError` names what was allowed."""
    domain = entry.domain
    if entry.shape == REAL:
        assert isinstance(domain, FloatRange)
        reals[entry.column] = domain.real(value)
        return
    code = domain.code(value)
    if isinstance(code, int):
        codes[entry.column] = code
    else:
        codes[entry.column : entry.column + entry.width] = [*code, *[UNUSED] * (entry.width - len(code))]


def build(space: Space, given: Mapping[str, object], base: Mapping[str, Value] | None = None) -> Decision:
    """Return the decision with the given values.

    Args:
        space: the space it belongs to.
        given: values by address; each must exist in the result.
        base: values to fall back on, then defaults; without it every existing point must be given.

    Raises:
        DecisionError: an address is unknown, absent under the others, missing, or its value not allowed.
    """
    layout = space.layout
    unknown = [address for address in given if address not in layout.index]
    if unknown:
        raise DecisionError(
            f"{unknown[0]}: the space has no point at this address{nearest(str(unknown[0]), layout.index)}"
        )
    codes, reals = [INACTIVE] * layout.columns, [float("nan")] * layout.reals
    met = 0
    for entry in layout.entries:
        if not holds(layout, entry, codes):
            continue
        address = entry.point.address
        if entry.tied:
            target = layout.entries[entry.target]
            if entry.shape == REAL:
                reals[entry.column] = reals[target.column]
            else:
                mirrored = codes[target.column : target.column + entry.width]
                codes[entry.column : entry.column + entry.width] = mirrored
            if address in given:
                met += 1
                _check_tie(entry, given[address], codes, reals)
            continue
        if address in given:
            met += 1
            value: object = given[address]
        elif base is None:
            raise DecisionError(f"{address}: a value is missing; it must be one of {entry.domain.domain}")
        else:
            value = base.get(address, _default(entry))
        put(entry, value, codes, reals)
    decision = Decision(space, pack_row(layout, codes, reals))
    if met < len(given):
        extra = next(address for address in given if not decision.is_active(address))
        raise DecisionError(absent(layout, layout.index[extra], decision))
    return decision


def _default(entry: Entry) -> Value:
    default: Value = entry.domain.default  # type: ignore[attr-defined]
    return default


def _check_tie(entry: Entry, value: object, codes: list[int], reals: list[float]) -> None:
    again, real_again = list(codes), list(reals)
    put(entry, value, again, real_again)
    same = real_again[entry.column] == reals[entry.column] if entry.shape == REAL else again == codes
    if not same:
        raise DecisionError(
            f"{entry.point.address}: the value must equal its target's, {entry.point.domain}, got {value!r}"
        )


def absent(layout: Layout, number: int, decision: Decision) -> str:
    """Return the message for a point that does not exist under a decision, naming the reason."""
    entry = layout.entries[number]
    address = entry.point.address
    if entry.parent >= 0:
        parent = layout.entries[entry.parent]
        if not decision.is_active(parent.point.address):
            return f"{address}: the point does not exist here, because {parent.point.address} does not"
        codes, _ = unpack_row(layout, decision.row)
        if entry.branch is not None and not holds_branch(layout, entry, codes):
            chosen = show(decision[parent.point.address])
            wanted = [show(_named(parent, code)) for code in list(entry.branch.when)[:8]]
            return (
                f"{address}: the point exists only where {parent.point.address} is {' or '.join(wanted)}, "
                f"and it is {chosen}; leave the address out or change {parent.point.address}"
            )
    sources = ", ".join(
        f"{a} = {show(decision[a]) if a in decision else 'absent'}"
        for g in entry.point.guards
        for a in g.addresses
    )
    return (
        f"{address}: the point does not exist under {sources}; leave the address out or change one of these"
    )


def _named(parent: Entry, code: int) -> Value:
    if parent.shape == SINGLE:
        return parent.domain.value(code)
    return parent.domain.value((code,))[0]  # type: ignore[index]
