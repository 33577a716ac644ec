"""Parser of user macros: {$NAME}, {$NAME:context}, {$NAME:regex:"..."}."""

import re
from typing import NamedTuple

_MAX_NAME, _MAX_VALUE = 255, 2048
_BARE = re.compile(r"[A-Z0-9_.]+(?==)")

# A quoted context ends at the first quote without a backslash before it, any other one at the
# first brace: CUserMacroParser of the frontend. What is within the quotes is found ahead and then
# taken whole, or not at all: a possessive *+ is of Python 3.11.
_MACRO = re.compile(
    r"\{\$(?P<name>[A-Z0-9_.]+)"
    r"(?::(?P<regex>regex:)?\ *"
    r"(?:\"(?=(?P<quoted>(?:\\\"|[^\"])*))(?P=quoted)\"\ *|(?P<plain>[^\"}][^}]*|)))?\}"
)
_HOW = "write '{$NAME}=VALUE' in single quotes, with capitals, digits, _ and . for NAME"


class Macro(NamedTuple):
    """A user macro, as it is written in its braces, and its value."""

    name: str
    value: str

    def parameters(self) -> dict[str, object]:
        """Return the macro as host.create and usermacro.create take it."""
        return {"macro": self.name, "value": self.value}


def parse_macro(text: str) -> Macro:
    """Return the macro of the text NAME=VALUE; without its braces NAME has no context.

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
    """Whether *text* has no lone surrogate, as os.fsdecode() makes of bytes that are no UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def identity(name: str) -> tuple[str, ...]:
    """Return the values by which the server tells macros apart: name, kind and text of the context.

    A quoted context is the same as a plain one. A text that is no macro stands for itself.
    """
    found = _MACRO.fullmatch(name)
    if not found:
        return (name,)
    quoted = found["quoted"]
    context = found["plain"] if quoted is None else quoted.replace('\\"', '"')
    return (found["name"],) if context is None else (found["name"], found["regex"] or "", context)
