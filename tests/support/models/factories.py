"""Closures and partials: layers are made by functions that functions return."""

from functools import partial

import torch
from torch import nn


def conv_factory(norm, act):
    def make(cin, cout, stride=1):
        k = 3  # search: {1, 3, 5}
        return nn.Sequential(nn.Conv2d(cin, cout, k, stride, k // 2), norm(cout), act())

    return make


def make_norm(kind):
    if kind == "group":
        groups = 4  # search: {2, 4}
        return partial(nn.GroupNorm, groups)
    if kind == "batch":
        return nn.BatchNorm2d
    return lambda channels: nn.Identity()


def build_backbone(in_channels=3, classes=5):
    kind = "batch"  # search: {"batch", "group", "none"}
    act = partial(nn.LeakyReLU, 0.1)  # search: {partial(nn.LeakyReLU, 0.1), nn.ReLU, nn.ELU} as act
    width = 8  # search: {8, 12}
    make = conv_factory(make_norm(kind), act)
    stem = make(in_channels, width)
    body = [make(width, width * 2, stride=2), make(width * 2, width * 2)]
    plan = [make] * 2
    tail = [f(width * 2, width * 2) for f in plan]
    return nn.Sequential(
        stem, *body, *tail, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width * 2, classes)
    )


def describe(model):
    with torch.no_grad():
        return model(torch.zeros(1, 3, 8, 8)).shape
