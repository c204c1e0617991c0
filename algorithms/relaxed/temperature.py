"""Temperatures that fall as a relaxed search goes on (Dong and Yang 2019, GDAS)."""

from __future__ import annotations

from symnas.errors import AlgorithmError


def check_falling(tau_max: float, tau_min: float) -> None:
    """Refuse temperatures that do not fall.

    Raises:
        AlgorithmError: the last is above the first.
    """
    if tau_min > tau_max:
        raise AlgorithmError(
            f"the temperature falls from tau_max to tau_min, above 0; got {tau_max!r} and {tau_min!r}"
        )


def falling(tau_max: float, tau_min: float, progress: float) -> float:
    """Return the temperature after a share of the search, linear between the first and the last."""
    # progress = epoch / (epochs - 1), so that the last epoch is at tau_min, as in AutoDL-Projects.
    return tau_max - (tau_max - tau_min) * progress
