"""What an agent's call needs of functools, collections and operator, without these imports.

functools imports collections, which imports operator and others, and all of them take such a call
two milliseconds, while what it needs of them is written in C and there from the start. So what such
a call imports takes these names from here; all others use the library's modules themselves. partial
and itemgetter are the same as theirs, and what cache and lru_cache return is of the same class.

Source: Lib/functools.py, Lib/operator.py and Lib/collections/__init__.py of CPython.
"""

from _collections_abc import Callable, Iterable

__all__ = ["cache", "count_elements", "itemgetter", "lru_cache", "partial"]

TYPE_CHECKING = False  # as in light_typing
if TYPE_CHECKING:
    from functools import cache, lru_cache, partial
    from operator import itemgetter
    from typing import TypeVar

    _Element = TypeVar("_Element")

    def count_elements(counts: dict[_Element, int], elements: Iterable[_Element]) -> None:
        """Add to *counts* how often each of the elements comes, as Counter.update() does."""
else:
    from _collections import _count_elements as count_elements
    from _functools import _lru_cache_wrapper, partial
    from _operator import itemgetter

    def cache(function: Callable[..., object]) -> Callable[..., object]:
        """Return *function* with a memory of all that it has returned, by its arguments."""
        return _remembering(function, None)

    def lru_cache(maxsize: int) -> Callable[[Callable[..., object]], Callable[..., object]]:
        """Return the decorator for a memory of the *maxsize* results that were used last."""
        return lambda function: _remembering(function, maxsize)

    def _remembering(
        function: Callable[..., object], maxsize: "int | None"
    ) -> Callable[..., object]:
        made = _lru_cache_wrapper(function, maxsize, False, tuple)
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            if hasattr(function, name):  # a partial has but the last
                setattr(made, name, getattr(function, name))
        made.__wrapped__ = function
        return made
