"""The verbs: the summary of each, its options, and its function.

Two parsers use them, of which the one here knows agents' plain calls alone: to import argparse
takes milliseconds. The modules of a verb for people are imported for that verb.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from zabbix_sockets.command import answers
from zabbix_sockets.command.call import Call
from zabbix_sockets.command.cli import FOR_AGENT
from zabbix_sockets.command.options import CountOptions, DiscoverOptions, GetOptions
from zabbix_sockets.model.option import Option, Section

Definition = tuple[type, Callable[[Any, Call], None]]
"""The type of a verb's options, and its function, which takes options and Call."""


class Verb(NamedTuple):
    """A verb: its summary in one line, and the function that returns its Definition."""

    summary: str
    define: Callable[[], Definition]


class Request(NamedTuple):
    """A request for a verb: its function, and the options to call it with."""

    run: Callable[[Any, Call], None]
    options: Any

    def answer(self, call: Call) -> None:
        """Call the verb's function, which prints the answer."""
        self.run(self.options, call)


class OptionField(NamedTuple):
    """A field of a type of options.

    Attributes:
        name: the field's name.
        options: the options that fill it.
        inner: the type of options that is its value; None: it is filled by *options*.
        section: the title of the inner options in the help; None: none.
    """

    name: str
    options: tuple[Option, ...]
    inner: type | None
    section: Section | None


def option_fields_of(options: type) -> list[OptionField]:
    """Return the fields of a type of options, from their annotations (model.option)."""
    found = []
    for name, annotation in options.__annotations__.items():
        metadata: tuple[Any, ...] = getattr(annotation, "__metadata__", ())
        kind = annotation.__origin__ if metadata else annotation
        described = tuple(each for each in metadata if isinstance(each, Option))
        inner = None if described or not hasattr(kind, "_fields") else kind
        section = next((each for each in metadata if isinstance(each, Section)), None)
        found.append(OptionField(name, described, inner, section))
    return found


def filled(options: Any, given: dict[str, Any]) -> Any:
    """Return options of that type, with the values *given* by field name, else the defaults."""
    values = {}
    for field in option_fields_of(options):
        if field.inner:
            values[field.name] = filled(field.inner, given)
        elif field.name in given:
            value = given[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return options(**values)


def parse_plain(arguments: list[str]) -> Request | None:
    """Return the request of an agent's call without options, such as `get -- process`.

    None for all other calls, wrong ones included: arguments.parse() is for these.
    """
    verb, *values = arguments or [""]
    if verb not in FOR_AGENT:
        return None
    options, run = VERBS[verb].define()
    if values[:1] == ["--"]:
        del values[0]
    elif any(value.startswith("-") for value in values):
        return None
    given = {}
    for field in option_fields_of(options):
        if any(not each.flag for each in field.options):  # an argument
            if not values and field.name not in options._field_defaults:  # type: ignore[attr-defined]
                return None
            if values:
                given[field.name] = values.pop(0)
                choices = field.options[0].choices
                if given[field.name] == "--" or (choices and given[field.name] not in choices):
                    return None
    return None if values else Request(run, filled(options, given))


def _show() -> Definition:
    from zabbix_sockets.command.show import ShowOptions, show  # noqa: PLC0415  # for this verb alone

    return ShowOptions, show


def _send() -> Definition:
    from zabbix_sockets.command.send import SendOptions, send  # noqa: PLC0415  # imports subprocess and sqlite3

    return SendOptions, send


def _load() -> Definition:
    from zabbix_sockets.command import admin  # noqa: PLC0415  # for this verb alone

    return admin.LoadOptions, admin.load


def _unload() -> Definition:
    from zabbix_sockets.command import admin  # noqa: PLC0415  # for this verb alone

    return admin.UnloadOptions, admin.unload


def _files() -> Definition:
    from zabbix_sockets.command import admin  # noqa: PLC0415  # for this verb alone

    return admin.FilesOptions, admin.files


def _provision() -> Definition:
    from zabbix_sockets.command.provision import provision  # noqa: PLC0415  # for this verb alone
    from zabbix_sockets.provision.options import ProvisionOptions  # noqa: PLC0415  # for this verb alone

    return ProvisionOptions, provision


VERBS = {
    "get": Verb("print the document, one line of JSON", lambda: (GetOptions, answers.get)),
    "discover": Verb("print low-level discovery JSON", lambda: (DiscoverOptions, answers.discover)),
    "count": Verb("print how many sockets a process holds", lambda: (CountOptions, answers.count)),
    "send": Verb("push the document with zabbix_sender", _send),
    "show": Verb("print a table for people", _show),
    "load": Verb("pin the BPF iterators, for the agent to read", _load),
    "unload": Verb("remove the pinned BPF iterators", _unload),
    "files": Verb("print the folder that holds conf/ and zabbix_templates/", _files),
    "provision": Verb("import the templates into a Zabbix server, link hosts", _provision),
}
