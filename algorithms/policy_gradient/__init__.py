"""Search by a policy that is trained on rewards.

To read in this order: `policies` (what they share, and the factorised one), `lstm` (the recurrent one,
its draws and its gradient), `reinforce`, `enas`, `conservative_rl`. How a decision is cut into the
actions that a policy takes is in `sequencing`.

Laws, in `tests/algorithms/policy_gradient`: gradients against finite differences and autograd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.algorithms.policy_gradient.conservative_rl import ConservativeRL as ConservativeRL
    from symnas.algorithms.policy_gradient.enas import ENAS as ENAS
    from symnas.algorithms.policy_gradient.enas import ENASMacro as ENASMacro
    from symnas.algorithms.policy_gradient.reinforce import Reinforce as Reinforce

_HOMES = {
    "ConservativeRL": "conservative_rl",
    "ENAS": "enas",
    "ENASMacro": "enas",
    "Reinforce": "reinforce",
}

__all__ = [
    "ENAS",
    "ConservativeRL",
    "ENASMacro",
    "Reinforce",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
