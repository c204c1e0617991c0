from __future__ import annotations

from symnas.export.module_slice import module_slice

TEXT = '''\
"""A script."""
from __future__ import annotations

import os, sys
from torch import nn, optim

SIZE = 4
TABLE = {}
TABLE["relu"] = nn.ReLU
print("work")
nn.init.calculate_gain("relu")


def unused():
    return sys.path


class Block(nn.Module):
    def forward(self, x):
        return helper(x)


def helper(x):
    return TABLE["relu"]()(x) * SIZE


model = Block()
optim.SGD(model.parameters(), 0.1)
'''


BLOCK = '''\
"""A script."""
from __future__ import annotations

from torch import nn

SIZE = 4
TABLE = {}
TABLE["relu"] = nn.ReLU


class Block(nn.Module):
    def forward(self, x):
        return helper(x)


def helper(x):
    return TABLE["relu"]()(x) * SIZE
'''


def test_only_what_a_definition_needs_is_kept():
    assert module_slice(TEXT, ["Block"]) == BLOCK
    assert module_slice(TEXT, ["unused"]).endswith("import sys\n\n\ndef unused():\n    return sys.path\n")
