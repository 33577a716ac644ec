"""Options of the command: each is described beside the field that it fills.

A verb's options are a NamedTuple, whose fields have types and defaults. What an option is called on
the command line, what may be given and what it means stands in the field's annotation::

    timeout: Annotated[float, Option("--timeout", "wait so long", parse=seconds)] = 2.5

A field that is such a NamedTuple itself brings its options along, below a title of their own where
its annotation has a Section.
"""

from _collections_abc import Callable

from zabbix_sockets.model.deadline import MAX_SECONDS
from zabbix_sockets.model.light_typing import NamedTuple, Optional, Union

_MAX_DIGITS = 18  # of a whole number: more than any that is meant, and below 2^63


class Option(NamedTuple):
    """An option of the command line.

    Attributes:
        flag: its name, with dashes; empty: it is a positional argument, which must be given if the
            field has no default.
        help: its explanation in the help.
        metavar: the word for its value in the help.
        parse: returns the value for a text; it raises ValueError with the reason if that is wrong.
        choices: the values that are allowed; empty: all.
        action: as argparse has it: store_true and store_false for an option without a value,
            append for one that adds a value to a tuple, optional for one with a form --no-...
        nargs: as argparse has it: "*" for any number of values.
        either: a word; of the options with the same one at most one may be given.
        words: what a shell completes a value to, or the function that returns that, where *choices*
            does not list all values, or the parser doesn't check them; empty: the choices.
    """

    flag: str
    help: str
    metavar: Optional[str] = None
    parse: Optional[Callable[[str], object]] = None
    choices: tuple[object, ...] = ()
    action: str = "store"
    nargs: Optional[str] = None
    either: str = ""
    words: Union[tuple[str, ...], Callable[[], tuple[str, ...]]] = ()


class Section(NamedTuple):
    """The title of a group of options in the help, and the description below it."""

    title: str
    description: Optional[str] = None


def seconds(text: str) -> float:
    """Return the seconds that *text* says: a number above 0, up to MAX_SECONDS.

    Raises:
        ValueError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_SECONDS:
        raise ValueError(f"not a number of seconds above 0, up to {MAX_SECONDS:g}")
    return value


def positive(text: str) -> int:
    """Return the whole number that *text* says: above 0, of at most 18 digits.

    Raises:
        ValueError: it is none.
    """
    if not (text.isascii() and text.isdecimal() and text.strip("0")):
        raise ValueError("not a whole number above 0")
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of more than {_MAX_DIGITS} digits")
    return int(text)


def number(text: str, least: int, most: int, what: str) -> int:
    """Return the whole number that *text* says: from *least* to *most*.

    Raises:
        ValueError: it is none; the message calls it *what*, such as "a port".
    """
    # Zeros in front of a number are no reason to read half of it.
    digits = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    if not (digits and least <= int(text) <= most):
        raise ValueError(f"not {what} from {least} to {most}")
    return int(text)


def printable_name(most: int) -> Callable[[str], str]:
    """Return the parser of a name of 1 to *most* printable characters, not all of them spaces.

    It raises ValueError for any other text.
    """

    def parse(text: str) -> str:
        if not text.strip() or not text.isprintable() or len(text) > most:
            raise ValueError(f"not a name of 1 to {most} printable characters")
        return text

    return parse


def name(text: str) -> str:
    """Return *text*, a name.

    Raises:
        ValueError: it is empty.
    """
    if not text:
        raise ValueError("no name")
    return text
