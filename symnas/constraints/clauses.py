"""The language of clauses; it lies with the tree, which counts under them."""

from __future__ import annotations

from symnas.tree.requirements.clauses import Clause as Clause
from symnas.tree.requirements.clauses import Verdict as Verdict
from symnas.tree.requirements.clauses import evaluate as evaluate
