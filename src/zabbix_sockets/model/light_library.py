"""What an agent's call needs of functools, collections and operator, without these imports.

functools imports collections, which imports operator and others, and all of them take such a call
two milliseconds, while what it needs of them is written in C and there from the start. So what such
a call imports takes these names from here; all others use the library's modules themselves. What is
written in C is the very same, and what cache and lru_cache return is of the same class.

Source: Lib/functools.py, Lib/operator.py and Lib/collections/__init__.py of CPython.
"""

from _collections_abc import Callable, Iterable

__all__ = [
    "cache",
    "cached_property",
    "count_elements",
    "deque",
    "itemgetter",
    "lru_cache",
    "partial",
]

TYPE_CHECKING = False  # as in light_typing
if TYPE_CHECKING:
    import functools
    from collections import deque
    from functools import cache, cached_property, partial
    from operator import itemgetter
    from typing import TypeVar

    _Element = TypeVar("_Element")

    def lru_cache(
        maxsize: int,
    ) -> Callable[[Callable[..., _Element]], "functools._lru_cache_wrapper[_Element]"]:
        """Return the decorator for a memory of the *maxsize* results that were used last."""

    def count_elements(counts: dict[_Element, int], elements: Iterable[_Element]) -> None:
        """Add to *counts* how often each of the elements comes, as Counter.update() does."""
else:
    from _collections import _count_elements as count_elements
    from _collections import deque
    from _functools import _lru_cache_wrapper, partial
    from _operator import itemgetter

    def cache(function: Callable[..., object]) -> Callable[..., object]:
        """Return *function* with a memory of all that it has returned, by its arguments."""
        return _remembering(function, None)

    def lru_cache(maxsize: int) -> Callable[[Callable[..., object]], Callable[..., object]]:
        """Return the decorator for a memory of the *maxsize* results that were used last."""
        return lambda function: _remembering(function, maxsize)

    class cached_property:  # noqa: N801  # as functools calls it
        """A property whose value is computed once; assigning to it, or deleting it, is allowed."""

        def __init__(self, function: Callable[[object], object]) -> None:
            self._function = function
            self._name = ""
            self.__doc__ = function.__doc__

        def __set_name__(self, _owner: type, name: str) -> None:
            self._name = name

        def __get__(self, instance: object, _owner: "type | None" = None) -> object:
            if instance is None:
                return self
            value = self._function(instance)
            instance.__dict__[self._name] = value  # found before this property from now on
            return value

    def _remembering(
        function: Callable[..., object], maxsize: "int | None"
    ) -> Callable[..., object]:
        made = _lru_cache_wrapper(function, maxsize, False, lambda *each: each)
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            if hasattr(function, name):  # a partial lacks some
                setattr(made, name, getattr(function, name))
        made.__wrapped__ = function
        return made
