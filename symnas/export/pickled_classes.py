"""What an instance of a generated class would be pickled as, were its class an ordinary one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def plain_parts(instance: Any, protocol: int, ours: Callable[[Any, int], Any]) -> Any:
    """Return what the class's ancestors outside the text would have pickled.

    Args:
        instance: of a generated class.
        protocol: of the pickle.
        ours: the method that generated classes were given.
    """
    for above in type(instance).__mro__:
        own = vars(above).get("__reduce_ex__")
        if own is not None and own is not ours:
            return own(instance, max(protocol, 2))
    raise AssertionError("object has __reduce_ex__")
