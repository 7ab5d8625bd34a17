"""A dictionary that cannot be changed, for the fields of frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, TypeVar

import pydantic
from pydantic_core import core_schema

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

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Say that it is a mapping, so that pydantic can state it as a field's default."""
        del source, handler  # a field is a `Frozen`, which says what it maps
        return core_schema.no_info_after_validator_function(cls, core_schema.dict_schema())

    def __reduce__(self) -> tuple[type[FrozenDict[K, V]], tuple[dict[K, V]]]:
        """Copy and pickle through the constructor, because item by item is refused."""
        return type(self), (dict(self),)


Frozen = Annotated[Mapping[K, V], pydantic.AfterValidator(FrozenDict)]
"""A mapping field that becomes a `FrozenDict`."""
