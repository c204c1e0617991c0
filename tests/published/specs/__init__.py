"""The models, by kind."""

from __future__ import annotations

from specification import Model

from specs import convolutional, dense, graphs, sequences, vision_transformers

MODELS: dict[str, Model] = {
    model.name: model
    for module in (convolutional, vision_transformers, dense, sequences, graphs)
    for model in module.MODELS
}
