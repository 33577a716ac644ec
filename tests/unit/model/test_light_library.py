"""The stand-ins for functools, operator and collections behave as those themselves."""

from __future__ import annotations

import functools
import operator
from collections import Counter, deque

import pytest

from zabbix_sockets.model import light_library


def test_same_classes() -> None:
    """Two are the same, and what the decorators return is of the same class."""
    assert light_library.partial is functools.partial
    assert light_library.itemgetter is operator.itemgetter
    assert light_library.deque is deque
    assert type(light_library.cache(len)) is type(functools.cache(len))


@pytest.mark.parametrize("kept", [1, 2, None], ids=str)
def test_memory(kept: int | None) -> None:
    """Equal arguments are not asked for again, as long as there is room for them."""

    def make(decorate: object) -> tuple[list[str], list[int]]:
        asked: list[str] = []

        def length(text: str) -> int:
            """Return the length."""
            asked.append(text)
            return len(text)

        remembered = decorate(length)  # type: ignore[operator]
        return asked, [remembered(text) for text in ("a", "bb", "a", "a", "ccc", "bb", "a")]

    if kept is None:
        light, heavy = light_library.cache, functools.cache
    else:
        light, heavy = light_library.lru_cache(kept), functools.lru_cache(kept)
    assert make(light) == make(heavy)


def test_description() -> None:
    """What is remembered is called, and described, as before."""

    def length(text: str) -> int:
        """Return the length."""
        return len(text)

    light, heavy = light_library.cache(length), functools.cache(length)
    for name in ("__module__", "__name__", "__qualname__", "__doc__", "__wrapped__"):
        assert getattr(light, name) == getattr(heavy, name), name
    assert light_library.cache(functools.partial(length, "a"))() == 1


def test_cached_property() -> None:
    """A property is computed once, and again when it was deleted; another value may be assigned."""
    asked = []

    def answer(_self: object) -> int:
        """Return how often it was asked."""
        asked.append(1)
        return len(asked)

    class Asked:
        light = light_library.cached_property(answer)
        heavy = functools.cached_property(answer)

    for name, first in (("light", 1), ("heavy", 3)):
        one = Asked()
        assert [getattr(one, name), getattr(one, name)] == [first, first]
        delattr(one, name)
        assert getattr(one, name) == first + 1
        setattr(one, name, 7)
        assert getattr(one, name) == 7
        assert getattr(Asked, name).__doc__ == answer.__doc__
    assert len(asked) == 4


def test_counting() -> None:
    """Elements are added to what was counted before."""
    counted = {"a": 3}
    light_library.count_elements(counted, "abracadabra")
    assert counted == Counter({"a": 3}) + Counter("abracadabra")
