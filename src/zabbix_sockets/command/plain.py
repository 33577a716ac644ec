"""An agent's call without an option: to read one, argparse takes milliseconds to be imported.

What is not as plain as `get -- process` is arguments.parse()'s, errors among it.
"""

from collections.abc import Callable

from zabbix_sockets.command import answers
from zabbix_sockets.command.lock import Lock
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING
from zabbix_sockets.model.snapshot import LISTS, PINS

_POSITIONALS = {
    "get": ("grouping",),
    "discover": ("kind",),
    "count": ("process", "protocol", "state"),
}
_OPTIONAL = ("grouping", "protocol", "state")


class PlainOptions:
    """What arguments.parse() returns for an agent's verb where no option is given."""

    source: str | None = None
    timeout = 2.5
    netns: str | None = None
    filter: str | None = None
    group_by = DEFAULT_GROUPING
    config: str | None = None
    pins = PINS
    active_within = 60
    debug = False
    question: tuple[str, ...] = ()
    lock: Lock | None = None
    started: float | None = None

    def __init__(self, verb: str, values: dict[str, str]) -> None:
        self.run: Callable[[PlainOptions], None] = getattr(answers, verb)
        self.tcp_info = verb == "get"
        self.__dict__.update(values)
        if verb != "count":
            self.max_bytes = 500_000


def parse_plain(arguments: list[str]) -> PlainOptions | None:
    """Return the options of a plain call; None for all other calls, right or wrong."""
    verb, *values = arguments or [""]
    names = _POSITIONALS.get(verb)
    if names is None:
        return None
    if values[:1] == ["--"]:
        del values[0]
    elif any(value.startswith("-") for value in values):
        return None
    required = [name for name in names if name not in _OPTIONAL]
    if not len(required) <= len(values) <= len(names) or "--" in values:
        return None
    if verb == "discover" and values[0] not in LISTS:
        return None
    return PlainOptions(verb, dict.fromkeys(names, "") | dict(zip(names, values, strict=False)))
