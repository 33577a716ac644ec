"""The verbs: the summary of each, its options, and its function.

Two parsers use them, of which the one here knows agents' plain calls alone: argparse, and what
comes with it, takes milliseconds. The modules of a verb for people are imported for that verb.
"""

from _collections_abc import Callable

from zabbix_sockets.command import answers
from zabbix_sockets.command.agent_call import FOR_AGENT
from zabbix_sockets.command.call import Call
from zabbix_sockets.command.options import CountOptions, DiscoverOptions, GetOptions
from zabbix_sockets.model.light_typing import Any, NamedTuple, Optional
from zabbix_sockets.model.option import Option, Section

Definition = tuple[type, Callable[[Any, Call], Optional[int]]]
"""The type of a verb's options, and its function, which takes options and Call, and returns the
exit status; None: 0."""


class Verb(NamedTuple):
    """A verb.

    Attributes:
        summary: what it does, in one line.
        define: returns its Definition.
        statuses: its exit statuses, in words; empty: those of all verbs.
    """

    summary: str
    define: Callable[[], Definition]
    statuses: str = ""


class Request(NamedTuple):
    """A request for a verb: its function, and the options to call it with."""

    run: Callable[[Any, Call], Optional[int]]
    options: Any

    def answer(self, call: Call) -> Optional[int]:
        """Call the verb's function, which prints the answer; return the exit status; None: 0."""
        return self.run(self.options, call)


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
    inner: Optional[type]
    section: Optional[Section]


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


def parse_plain(arguments: list[str]) -> Optional[Request]:
    """Return the request of an agent's plain call, such as `get --timeout 2 -- process`.

    Plain is a call of which there is no doubt: options that exist, with their values behind a "="
    or as the next word, if that doesn't begin with "-"; then the parameters. None for all other
    calls, wrong ones included: arguments.parse() is for these.
    """
    verb, *words = arguments or [""]
    if verb not in FOR_AGENT:
        return None
    options, run = VERBS[verb].define()
    known = _Known({}, {}, [])
    known.add(options)
    try:
        return Request(run, filled(options, known.values_of(words)))
    except ValueError:
        return None


class _Known(NamedTuple):
    """The options of an agent's verb, which has none with nargs or either.

    Attributes:
        valued: those with a value, by flag: the field's name, and the option.
        fixed: those without one, by flag: the field's name, and its value then.
        parameters: those without a flag: the field's name, the option, whether it must be given.
    """

    valued: dict[str, tuple[str, Option]]
    fixed: dict[str, tuple[str, bool]]
    parameters: list[tuple[str, Option, bool]]

    def add(self, options: type) -> None:
        """Add the options of that type, and of the types of its fields."""
        for name, described, inner, _ in option_fields_of(options):
            if inner:
                self.add(inner)
            for option in described:
                assert not option.nargs
                assert not option.either
                if not option.flag:
                    must = name not in options._field_defaults  # type: ignore[attr-defined]
                    self.parameters.append((name, option, must))
                elif option.action == "store":
                    self.valued[option.flag] = name, option
                elif option.action in _FIXED:
                    self.fixed[option.flag] = name, _FIXED[option.action]
                if option.action == "optional":
                    self.fixed[f"--no-{option.flag[2:]}"] = name, False

    def values_of(self, words: list[str]) -> dict[str, Any]:
        """Return the values that the words give, by the fields' names.

        Raises:
            ValueError: they are wrong, or not plain.
        """
        left = words[:]
        given: dict[str, Any] = {}
        while left and left[0].startswith("-") and left[0] != "--":
            flag, equals, text = left.pop(0).partition("=")
            if flag in self.fixed and not equals:
                name, given_by_flag = self.fixed[flag]
                given[name] = given_by_flag
            elif flag in self.valued and (equals or (left and not left[0].startswith("-"))):
                name, option = self.valued[flag]
                given[name] = _value(option, text if equals else left.pop(0))
            else:
                raise ValueError(flag)
        if left[:1] == ["--"]:
            del left[0]
        elif any(word.startswith("-") for word in left):
            raise ValueError(left)
        for name, option, must in self.parameters:
            if left:
                given[name] = _value(option, left.pop(0))
            elif must:
                raise ValueError(name)
        if left:
            raise ValueError(left)
        return given


_FIXED = {"store_true": True, "store_false": False, "optional": True}


def _value(option: Option, text: str) -> object:
    """Return the value that an option has by this text.

    Raises:
        ValueError: it is wrong, or it is "--", of which argparse's versions think differently.
    """
    value = option.parse(text) if option.parse else text
    if text == "--" or (option.choices and value not in option.choices):
        raise ValueError(text)
    return value


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


def _setup() -> Definition:
    from zabbix_sockets.command.setup import setup  # noqa: PLC0415  # for this verb alone
    from zabbix_sockets.setup.options import SetupOptions  # noqa: PLC0415  # for this verb alone

    return SetupOptions, setup


def _names() -> Definition:
    from zabbix_sockets.command.names import NamesOptions, names  # noqa: PLC0415  # for this verb alone

    return NamesOptions, names


def _check() -> Definition:
    from zabbix_sockets.command.check import CheckOptions, check  # noqa: PLC0415  # for this verb alone

    return CheckOptions, check


def _provision() -> Definition:
    from zabbix_sockets.command.provision import provision  # noqa: PLC0415  # for this verb alone
    from zabbix_sockets.provision.options import ProvisionOptions  # noqa: PLC0415  # for this verb alone

    return ProvisionOptions, provision


def _provision_map() -> Definition:
    from zabbix_sockets.command.provision import provision_map  # noqa: PLC0415  # for this verb alone
    from zabbix_sockets.service_map.options import MapOptions  # noqa: PLC0415  # for this verb alone

    return MapOptions, provision_map


VERBS = {
    "get": Verb("print the document, one line of JSON", lambda: (GetOptions, answers.get)),
    "discover": Verb("print low-level discovery JSON", lambda: (DiscoverOptions, answers.discover)),
    "count": Verb("print how many sockets a process holds", lambda: (CountOptions, answers.count)),
    "send": Verb("push the document with zabbix_sender", _send),
    "show": Verb("print a table for people", _show),
    "setup": Verb(
        "set this host up: agents' keys, BPF iterators at boot",
        _setup,
        "0 it is set up, though something may be degraded; 1 a step failed, something is missing,"
        " or check finds something broken; 2 the arguments are wrong",
    ),
    "load": Verb("pin the BPF iterators, for the agent to read", _load),
    "unload": Verb("remove the pinned BPF iterators", _unload),
    "names": Verb("leave the names of containers for the agent to read", _names),
    "files": Verb("print the folder that holds conf/ and zabbix_templates/", _files),
    "check": Verb(
        "say what works here, and what to do about what doesn't",
        _check,
        "that of the worst line: 0 all is ok, or unknown; 1 something is degraded;"
        " 2 something is broken. 3 there are no lines: the arguments are wrong, or check failed",
    ),
    "provision": Verb("import the templates into a Zabbix server, link hosts", _provision),
    "provision map": Verb("draw on a Zabbix server who talks to whom", _provision_map),
}
"""The verbs by name. `provision map` is a verb of two words, which verb_of() looks for first."""


def verb_of(arguments: list[str]) -> str:
    """Return the name of the verb that arguments begin with, of two words if that is one.

    It may be none of VERBS; empty without an argument.
    """
    both = " ".join(arguments[:2])
    return both if both in VERBS else "".join(arguments[:1])
