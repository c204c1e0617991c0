"""Show declared hyperparameters in the API pages as what they are: arguments of the constructor.

The pages are made from sources alone, where a hyperparameter is an attribute and the constructor does not
stand. So the class is imported, and asked for its signature and for its docstring with the `Args:`.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import griffe

DECORATOR = "with_hyperparameters"


class Hyperparameters(griffe.Extension):
    """Give classes that declare hyperparameters the constructor and the docstring that they have when run."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Complete a class, once its members have been read."""
        if not any(DECORATOR in str(decorator.value) for decorator in cls.decorators):
            return
        made = getattr(import_module(cls.module.path), cls.name)
        signature = inspect.signature(made)
        parameters = griffe.Parameters(
            griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword),
            *(
                griffe.Parameter(
                    name,
                    annotation=cls.members[name].annotation if name in cls.members else str(one.annotation),
                    kind=griffe.ParameterKind.keyword_only,
                    default=repr(one.default),
                )
                for name, one in signature.parameters.items()
            ),
        )
        cls.set_member("__init__", griffe.Function("__init__", parameters=parameters, returns="None"))
        if cls.docstring is not None:
            cls.docstring.value = inspect.getdoc(made) or ""
