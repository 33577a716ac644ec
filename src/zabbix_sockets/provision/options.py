"""Options of `provision`, and their check before a server is asked."""

import argparse
import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.provision.frontend import parse_frontend
from zabbix_sockets.provision.interfaces import Interface, parse_interface
from zabbix_sockets.provision.macros import Macro, identity, parse_macro
from zabbix_sockets.provision.templates import TEMPLATES, Template

DEFAULT_GROUP = "Linux servers"
"""A host group that every new Zabbix server has, with the rights that people gave on it."""

_MAX_HOST, _MAX_NAME = 128, 255
_HOST = re.compile(r"[0-9A-Za-z_. -]+")
_Parsed = TypeVar("_Parsed")


class DesiredState(NamedTuple):
    """The state of the server that the caller asks for.

    Attributes:
        templates: those to import.
        linked: the one of them to which hosts are linked.
        hosts: technical names, each once.
        group: the host group of hosts that are created; None: DEFAULT_GROUP.
        proxy: the name of the proxy of hosts that are created; None: the server itself.
        interface: that of hosts which have none.
        macros: those that hosts have.
        delete_missing: what the templates on the server have, and these ones have not, is deleted.
    """

    templates: tuple[Template, ...]
    linked: Template
    hosts: tuple[str, ...] = ()
    group: str | None = None
    proxy: str | None = None
    interface: Interface | None = None
    macros: tuple[Macro, ...] = ()
    delete_missing: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `provision` to its parser, all but --timeout."""
    add = parser.add_argument
    add("url", type=_by(parse_frontend), metavar="URL", help="the Zabbix frontend's address")
    add(
        "--template",
        action="append",
        default=[],
        choices=tuple(TEMPLATES),
        help="agent, active or trapper: import this one (repeatable; default: all three), and link"
        " it to the hosts (default: agent)",
    )
    _add_hosts(parser)
    _add_login(parser)
    add(
        "--delete-missing",
        action="store_true",
        help="delete parts of the templates on the server that these ones don't have",
    )
    add(
        "--dry-run",
        action="store_true",
        help="change nothing, and print the changes that would be made",
    )


def _add_hosts(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("hosts")
    add = group.add_argument
    add(
        "--host",
        action="append",
        default=[],
        type=_by(_parse_host),
        metavar="NAME",
        help="link this host, by its technical name (repeatable); one that is missing is created",
    )
    add(
        "--group",
        type=_by(_parse_name),
        metavar="NAME",
        help=f"the host group of hosts that are created (default: {DEFAULT_GROUP})",
    )
    add(
        "--proxy",
        type=_by(_parse_name),
        metavar="NAME",
        help="the proxy of hosts that are created",
    )
    add(
        "--interface",
        type=_by(parse_interface),
        metavar="ADDRESS:PORT",
        help="the agent's address, for a host that has none",
    )
    add(
        "--macro",
        action="append",
        default=[],
        type=_by(parse_macro),
        metavar="NAME=VALUE",
        help="give the hosts this user macro, as '{$NAME}=5' or '{$NAME:\"nginx\"}=5' (repeatable)",
    )


def _add_login(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "login",
        "Without these: ZABBIX_TOKEN, or ZABBIX_USER and ZABBIX_PASSWORD, or you are asked.",
    )
    add = group.add_argument
    add("--token-file", type=_by(_parse_path), metavar="FILE", help="a file with an API token")
    add("--user", type=_by(_parse_name), metavar="NAME", help="log in as this user")
    add(
        "--password-file",
        type=_by(_parse_path),
        metavar="FILE",
        help="a file with the user's password",
    )
    add(
        "--ca-file",
        type=_by(_parse_path),
        metavar="FILE",
        help="trust the certificates in this file (PEM)",
    )


def desired_state(options: argparse.Namespace) -> DesiredState:
    """Return the state that the parsed *options* ask for.

    Raises:
        UsageError: they contradict each other.
    """
    kinds = list(dict.fromkeys(options.template))
    for_hosts = ("group", "proxy", "interface", "macro")
    if not options.host:
        for name in for_hosts:
            if getattr(options, name):
                raise UsageError(f"--{name} is for hosts: give --host too")
    elif len(kinds) > 1:
        raise UsageError("a host is linked to one template: give --template once with --host")
    if len({identity(macro.name) for macro in options.macro}) < len(options.macro):
        raise UsageError("the same macro is given twice")
    return DesiredState(
        templates=tuple(TEMPLATES[kind] for kind in kinds or TEMPLATES),
        linked=TEMPLATES[kinds[0] if kinds else "agent"],
        hosts=tuple(dict.fromkeys(options.host)),
        group=options.group,
        proxy=options.proxy,
        interface=options.interface,
        macros=tuple(options.macro),
        delete_missing=options.delete_missing,
    )


def _by(parse: Callable[[str], _Parsed]) -> Callable[[str], _Parsed]:
    """Return *parse* for argparse, which prints the message of ArgumentTypeError only."""

    def checked(text: str) -> _Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _parse_host(text: str) -> str:
    if not _HOST.fullmatch(text) or text != text.strip() or len(text) > _MAX_HOST:
        raise ValueError(
            f"not a host's technical name: letters, digits, '_', '.', '-' and spaces, at most"
            f" {_MAX_HOST}"
        )
    return text


def _parse_path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("not the name of a file")
    return text


def _parse_name(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > _MAX_NAME:
        raise ValueError(f"not a name of 1 to {_MAX_NAME} printable characters")
    return text
