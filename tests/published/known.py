"""What is known not to work, with the reason; all else must work, or (relaxed networks alone) be refused.

A cell that works again must be taken from here: the suite fails otherwise.
"""

from __future__ import annotations

SLOW = "the survey takes too many runs"
ON_META = "it needs values of tensors that are on `meta` there; surveys and builds fall back to the CPU"
FILES = "choices in `forward` outside of the target's file need a source of several files"
RELATIVE = "the text keeps imports from files beside it, and cannot be imported where it is written"

_SLOW_SURVEYS = (
    "mobilenetv2", "shufflenetv2", "mnasnet", "mobile_vit", "cvt", "levit", "axial_transformer", "convnext",
    "basic_unet", "karras_unet", "yolos", "gpt2", "bert",
)  # fmt: skip
_NEED_FILES = ("default", "children", "pickled", "profile", "graph", "source", "supernet")

KNOWN: dict[tuple[str, str], tuple[str, str]] = {
    **{(name, "space"): ("slow", SLOW) for name in _SLOW_SURVEYS},
    **{("segresnet", stage): ("refused", FILES) for stage in _NEED_FILES},
    ("unet", "source"): ("wrong", RELATIVE),
    ("unet", "graph"): ("vague", "its crops read sizes that torch.export cannot follow"),
    ("minlm", "source"): ("wrong", RELATIVE),
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
