"""What stands in Zabbix' texts: user macros, LLD macros, functions of items, times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_USER = re.compile(r'\{\$(?P<name>[^:{}"]*)(?::(?P<context>"(?:[^"\\]|\\.)*"|[^}"]*))?\}')
_LLD = re.compile(r"\{#[^{}]*\}")
_FUNCTION = re.compile(r"(\w+)\(/([^/]*)/((?:[^,()\[\]]|\[[^\]]*\])+)((?:,[^,()]*)*)\)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class User(NamedTuple):
    """A user macro where it is used."""

    name: str
    """With braces, without context."""
    context: str | None


def user_macros(text: str) -> Iterator[User]:
    """Yield the user macros of a text.

    Raises:
        ValueError: something begins as one and is none.
    """
    found = list(_USER.finditer(text))
    if len(found) != text.count("{$"):
        raise ValueError(f"a broken macro: {text}")
    for each in found:
        yield User(f"{{${each['name']}}}", each["context"])


def lld_macros(text: str) -> set[str]:
    """Return the LLD macros of a text."""
    return set(_LLD.findall(text))


def resolved(text: str, macros: Mapping[str, str]) -> str:
    """Return a text with user macros replaced by what *macros* says; contexts don't matter."""
    return _USER.sub(lambda found: macros[f"{{${found['name']}}}"], text)


class Function(NamedTuple):
    """A function of an item in an expression."""

    name: str
    host: str
    key: str
    parameters: tuple[str, ...]

    @property
    def window(self) -> str:
        """The time or number of values that it looks at, `10m` of `10m:now-1h`; or nothing."""
        return self.parameters[0].partition(":")[0] if self.parameters else ""


def functions(expression: str, macros: Mapping[str, str]) -> list[Function]:
    """Return the functions of an expression in their order, user macros replaced.

    Raises:
        ValueError: an item is not in a function that this understands.
    """
    text = resolved(expression, macros)
    found = [
        Function(name, host, key, tuple(parameters.split(",")[1:]))
        for name, host, key, parameters in _FUNCTION.findall(text)
    ]
    if len(found) != text.count("(/"):
        raise ValueError(f"not understood: {text}")
    return found


def expressions(trigger: Mapping[str, str]) -> str:
    """Return a trigger's expression and its recovery expression, if it has one."""
    return f"{trigger['expression']} {trigger.get('recovery_expression', '')}"


def seconds(time: str) -> float:
    """Return what `10m` is in seconds."""
    return float(time[:-1]) * _UNITS[time[-1]]
