"""The sampling policies by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symnas.errors import EvaluatorError, nearest
from symnas.oneshot.policies import Delayed, Fair, Policy, Proposed, Sandwich, Sorted, Uniform
from symnas.oneshot.schedules import Guided, Progressive

POLICIES: Mapping[str, type[Policy]] = {
    "delayed": Delayed,
    "fair": Fair,
    "mcts": Guided,
    "progressive": Progressive,
    "proposed": Proposed,
    "sandwich": Sandwich,
    "sorted": Sorted,
    "uniform": Uniform,
}


def policy_of(policy: str | Policy, options: Mapping[str, Any] | None = None) -> Policy:
    """Return the policy that a name and options mean.

    Raises:
        EvaluatorError: there is no such name or option.
    """
    if isinstance(policy, Policy):
        if options:
            raise EvaluatorError("options belong to a policy given by name; this one is made already")
        return policy
    if policy not in POLICIES:
        raise EvaluatorError(
            f"a policy is one of {', '.join(map(repr, POLICIES))}, or a symnas.oneshot.Policy; got "
            f"{policy!r}{nearest(str(policy), POLICIES)}"
        )
    known = {name for name in getattr(POLICIES[policy], "__dataclass_fields__", {}) if name[0] != "_"}
    for option in options or {}:
        if option not in known:
            raise EvaluatorError(
                f"policy {policy!r} has no option {option!r}{nearest(option, known)}; its options are "
                f"{', '.join(sorted(known)) or 'none'}"
            )
    return POLICIES[policy](**(options or {}))
