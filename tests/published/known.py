"""What is known not to work, with the reason; all else must work, or (relaxed networks alone) be refused.

A cell that works again must be taken from here: the suite fails otherwise.
"""

from __future__ import annotations

SLOW = "the survey takes too many runs"
ON_META = "it needs values of tensors that are on `meta` there; surveys and builds fall back to the CPU"

_SLOW_SURVEYS = (
    "mobilenetv2", "shufflenetv2", "mnasnet", "mobile_vit", "cvt", "levit", "axial_transformer", "convnext",
    "basic_unet", "karras_unet", "yolos", "gpt2", "bert",
)  # fmt: skip

KNOWN: dict[tuple[str, str], tuple[str, str]] = {
    **{(name, "space"): ("slow", SLOW) for name in _SLOW_SURVEYS},
    ("unet", "graph"): ("vague", "its crops read sizes that torch.export cannot follow"),
    ("cct", "supernet"): ("raw", ON_META),
    ("cct", "relaxed"): ("raw", ON_META),
    ("performer", "supernet"): ("raw", ON_META),
    ("performer", "relaxed"): ("raw", ON_META),
    ("attentive_fp", "supernet"): ("raw", ON_META),
    ("attentive_fp", "relaxed"): ("raw", ON_META),
    ("graph_unet", "supernet"): ("raw", ON_META),
    ("graph_unet", "relaxed"): ("raw", ON_META),
    ("gcn", "relaxed"): ("raw", ON_META),
}
"""(model, stage) -> (status, reason)."""
