"""User macros of hosts, as they are written: {$NAME}, {$NAME:context}, {$NAME:regex:"..."}."""

import re
from typing import NamedTuple

_MAX_NAME, _MAX_VALUE = 255, 2048
_BARE = re.compile(r"[A-Z0-9_.]+(?==)")

# A quoted context ends at the first quote without a backslash before it, any other one at the
# first brace: CUserMacroParser of the frontend.
_MACRO = re.compile(
    r"\{\$(?P<name>[A-Z0-9_.]+)"
    r"(?::(?P<regex>regex:)?\ *(?:\"(?P<quoted>(?:\\\"|[^\"])*+)\"\ *|(?P<plain>[^\"}][^}]*|)))?\}"
)
_HOW = "write '{$NAME}=VALUE' in single quotes, with capitals, digits, _ and . for NAME"


class Macro(NamedTuple):
    """A macro and its value."""

    name: str
    value: str

    def parameters(self) -> dict[str, object]:
        """Return it as host.create and usermacro.create take it."""
        return {"macro": self.name, "value": self.value}


def parse_macro(text: str) -> Macro:
    """Return the macro of NAME=VALUE; NAME is in its braces, or without them has no context.

    Raises:
        ValueError: it can't be one.
    """
    bare, macro = _BARE.match(text), _MACRO.match(text)
    found = bare or macro
    if not found or text[found.end() : found.end() + 1] != "=":
        raise ValueError(f"not a macro and its value; {_HOW}")
    name = f"{{${bare[0]}}}" if bare else found[0]
    value = text[found.end() + 1 :]
    if len(name) > _MAX_NAME or len(value) > _MAX_VALUE:
        raise ValueError(f"longer than {_MAX_NAME} characters for NAME, {_MAX_VALUE} for VALUE")
    if not name.isprintable() or "\0" in value or not is_utf8(value):
        raise ValueError("control characters, or what is not UTF-8")
    return Macro(name, value)


def is_utf8(text: str) -> bool:
    """Whether *text* came from valid UTF-8, and may go into JSON."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def identity(name: str) -> tuple[str, ...]:
    """Return what the server tells macros apart by: a quoted context is the same as a plain one."""
    found = _MACRO.fullmatch(name)
    if not found:
        return (name,)
    quoted = found["quoted"]
    context = found["plain"] if quoted is None else quoted.replace('\\"', '"')
    return (found["name"],) if context is None else (found["name"], found["regex"] or "", context)
