"""Options of `provision map`, and their check before a server is asked."""

import ipaddress
from typing import Annotated, NamedTuple, Optional

from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.option import Option, Section, name, number, printable_name
from zabbix_sockets.provision.frontend import Frontend, parse_frontend
from zabbix_sockets.provision.options import (
    API_TIMEOUT,
    DEFAULT_API_SECONDS,
    DRY_RUN,
    LOGIN,
    LoginOptions,
    parse_host,
)

URL = "ZABBIX_URL"
"""The variable of the environment that has the frontend's address."""
MAP, DOT, JSON = "map", "dot", "json"
_MAX_MAP_NAME = 100
"""The longest name of a map: those of its submaps have a group behind it, up to 128."""


def parse_alias(text: str) -> tuple[str, str]:
    """Return the address or network, and the name, of a text such as "192.0.2.0/24=Payments".

    Raises:
        ValueError: it is none.
    """
    address, equals, alias = text.partition("=")
    if not equals or not alias.strip() or not alias.isprintable():
        raise ValueError("write it as ADDRESS=NAME, such as 192.0.2.0/24=Payments")
    return check_network(address), alias.strip()


def check_network(text: str) -> str:
    """Return *text*, an address or a network.

    Raises:
        ValueError: it is neither.
    """
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is no address and no network, such as 192.0.2.0/24") from None
    return text


def parse_tag(text: str) -> tuple[str, Optional[str]]:
    """Return a tag's name, and its value, None where any will do, of "name" or "name=value".

    Raises:
        ValueError: it has no name.
    """
    tag, equals, value = text.partition("=")
    return name(tag), value if equals else None


def _parse_hops(text: str) -> int:
    return number(text, 1, 20, "a number of hops")


def _parse_days(text: str) -> int:
    return number(text, 0, 3650, "a number of days")


class DrawnOptions(NamedTuple):
    """What is drawn."""

    group: Annotated[
        tuple[str, ...],
        Option(
            "--group", "draw the hosts of this group (repeatable)", "NAME", name, action="append"
        ),
    ] = ()
    host: Annotated[
        tuple[str, ...],
        Option(
            "--host",
            "draw this host, by its technical name (repeatable; without any of these all)",
            "NAME",
            parse_host,
            action="append",
        ),
    ] = ()
    tag: Annotated[
        tuple[tuple[str, Optional[str]], ...],
        Option(
            "--tag",
            "draw the hosts that have this tag (repeatable)",
            "NAME[=VALUE]",
            parse_tag,
            action="append",
        ),
    ] = ()
    by: Annotated[
        Optional[str],
        Option("--by", "group: draw groups of hosts, each with a submap", choices=("group",)),
    ] = None
    focus: Annotated[
        Optional[str],
        Option("--focus", "draw the surroundings of this host alone", "HOST", parse_host),
    ] = None
    hops: Annotated[
        Optional[int],
        Option(
            "--hops",
            "with --focus: how many lines away from that host (default: 2)",
            "NUMBER",
            _parse_hops,
        ),
    ] = None
    alias: Annotated[
        tuple[tuple[str, str], ...],
        Option(
            "--alias",
            "call ends with this address, or in this network, so (repeatable)",
            "ADDRESS=NAME",
            parse_alias,
            action="append",
        ),
    ] = ()
    config: Annotated[
        Optional[str],
        Option("--config", "the configuration file, with aliases in its table [map]", "FILE", name),
    ] = None
    loopback: Annotated[
        bool,
        Option(
            "--loopback",
            "tell of connections over loopback, too, in the labels of hosts",
            action="store_true",
        ),
    ] = False


class UpkeepOptions(NamedTuple):
    """How a map is kept up to date."""

    discover: Annotated[
        bool,
        Option(
            "--discover",
            "have the drawn upstreams discovered, so that lines have live figures and alarms",
            action="store_true",
        ),
    ] = False
    host_for_sums: Annotated[
        Optional[str],
        Option(
            "--host-for-sums",
            "give this host calculated items with the sums of lines between groups",
            "HOST",
            parse_host,
        ),
    ] = None
    keep: Annotated[
        int,
        Option(
            "--keep",
            "keep on the map for so many days what is not there any more (default: 7)",
            "DAYS",
            _parse_days,
        ),
    ] = 7
    relayout: Annotated[
        bool,
        Option("--relayout", "place all elements anew", action="store_true"),
    ] = False
    private: Annotated[
        bool,
        Option("--private", "make a map that only its owner sees", action="store_true"),
    ] = False
    state: Annotated[
        Optional[str],
        Option("--state", "the file that remembers what was drawn", "FILE", name),
    ] = None


class MapOptions(NamedTuple):
    """The options of `provision map`."""

    name: Annotated[str, Option("", "the map's name", "NAME", printable_name(_MAX_MAP_NAME))]
    url: Annotated[
        Optional[Frontend],
        Option("--url", f"the Zabbix frontend's address (default: {URL})", "URL", parse_frontend),
    ] = None
    drawn: Annotated[DrawnOptions, Section("what is drawn")] = DrawnOptions()
    upkeep: Annotated[UpkeepOptions, Section("upkeep")] = UpkeepOptions()
    login: Annotated[LoginOptions, LOGIN] = LoginOptions()
    format: Annotated[
        str,
        Option(
            "--format",
            "print the drawing instead of making a map of it",
            choices=(MAP, DOT, JSON),
        ),
    ] = MAP
    dry_run: Annotated[bool, DRY_RUN] = False
    timeout: Annotated[float, API_TIMEOUT] = DEFAULT_API_SECONDS


def check_options(options: MapOptions) -> None:
    """Raise UsageError where options contradict each other."""
    if options.drawn.hops is not None and options.drawn.focus is None:
        raise UsageError("--hops is for the surroundings of a host: give --focus too")
    if options.format != MAP:
        upkeep, default = options.upkeep, UpkeepOptions()
        given = [each for each in upkeep._fields if getattr(upkeep, each) != getattr(default, each)]
        if given:
            flag = given[0].replace("_", "-")
            raise UsageError(f"--{flag} is for a map on the server: not with --format")
