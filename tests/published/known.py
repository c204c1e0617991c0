"""What is known not to work, with the reason; all else must work, or (relaxed networks alone) be refused.

A cell that works again must be taken from here: the suite fails otherwise.
"""

from __future__ import annotations

NAMED_MODULES = (
    "the runs of a survey double with every choice of a module where a loop over `self.named_modules()` "
    "looks at the types of modules"
)
ON_META = "a tensor that the constructor makes and reads (`torch.linspace(…).item()`) is on `meta` there"

KNOWN: dict[tuple[str, str], tuple[str, str]] = {
    ("resnet", "space"): ("slow", NAMED_MODULES),
    ("mobilenetv2", "space"): ("slow", NAMED_MODULES),
    ("shufflenetv2", "space"): ("slow", NAMED_MODULES),
    ("squeezenet", "space"): ("slow", NAMED_MODULES),
    ("cct", "supernet"): ("raw", ON_META),
    ("cct", "relaxed"): ("raw", ON_META),
}
"""(model, stage) -> (status, reason)."""
