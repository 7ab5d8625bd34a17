"""A dictionary that cannot be changed, for the fields of frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, TypeVar

import pydantic

__all__ = ["Frozen", "FrozenDict"]

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """Equal to a plain dictionary, hashable, and taken by ``json``, ``pickle`` and ``copy``.

    >>> tags = FrozenDict(gpu_type="A100")
    >>> tags == {"gpu_type": "A100"}, {**tags, "training_hours": "2"}
    (True, {'gpu_type': 'A100', 'training_hours': '2'})
    """

    __slots__ = ()

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        del args, kwargs
        msg = "A record cannot be changed; make a changed copy of this mapping with dict(…)."
        raise TypeError(msg)

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # a dictionary has none
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenDict[K, V]], tuple[dict[K, V]]]:
        """Copy and pickle through the constructor, because item by item is refused."""
        return type(self), (dict(self),)


Frozen = Annotated[Mapping[K, V], pydantic.AfterValidator(FrozenDict)]
"""A mapping field that becomes a `FrozenDict`."""
