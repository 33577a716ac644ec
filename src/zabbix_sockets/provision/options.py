"""Options of `provision`, and their check before a server is asked."""

import re
from typing import Annotated, NamedTuple, Optional

from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.option import Option, Section, printable_name, seconds
from zabbix_sockets.provision.frontend import Frontend, parse_frontend
from zabbix_sockets.provision.interfaces import Interface, parse_interface
from zabbix_sockets.provision.macros import Macro, identity, parse_macro
from zabbix_sockets.provision.templates import TEMPLATES, Template

DEFAULT_GROUP = "Linux servers"
"""A host group that every new Zabbix server has, with the rights that people gave on it."""

_MAX_HOST, _MAX_NAME = 128, 255
_parse_name = printable_name(_MAX_NAME)
_HOST = re.compile(r"[0-9A-Za-z_. -]+")


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
    group: Optional[str] = None
    proxy: Optional[str] = None
    interface: Optional[Interface] = None
    macros: tuple[Macro, ...] = ()
    delete_missing: bool = False


def parse_host(text: str) -> str:
    """Return *text*, a host's technical name in Zabbix.

    Raises:
        ValueError: it is none.
    """
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


class HostOptions(NamedTuple):
    """Which hosts to link, and what those get that are created."""

    host: Annotated[
        tuple[str, ...],
        Option(
            "--host",
            "link this host, by its technical name (repeatable); one that is missing is created",
            "NAME",
            parse_host,
            action="append",
        ),
    ] = ()
    group: Annotated[
        Optional[str],
        Option(
            "--group",
            f"the host group of hosts that are created (default: {DEFAULT_GROUP})",
            "NAME",
            _parse_name,
        ),
    ] = None
    proxy: Annotated[
        Optional[str],
        Option("--proxy", "the proxy of hosts that are created", "NAME", _parse_name),
    ] = None
    interface: Annotated[
        Optional[Interface],
        Option(
            "--interface",
            "the agent's address, for a host that has none",
            "ADDRESS:PORT",
            parse_interface,
        ),
    ] = None
    macro: Annotated[
        tuple[Macro, ...],
        Option(
            "--macro",
            "give the hosts this user macro, as '{$NAME}=5' or '{$NAME:\"nginx\"}=5' (repeatable)",
            "NAME=VALUE",
            parse_macro,
            action="append",
        ),
    ] = ()


class LoginOptions(NamedTuple):
    """The options for the login to the API, and for the server's certificate."""

    token_file: Annotated[
        Optional[str], Option("--token-file", "a file with an API token", "FILE", _parse_path)
    ] = None
    user: Annotated[Optional[str], Option("--user", "log in as this user", "NAME", _parse_name)] = (
        None
    )
    password_file: Annotated[
        Optional[str],
        Option("--password-file", "a file with the user's password", "FILE", _parse_path),
    ] = None
    ca_file: Annotated[
        Optional[str],
        Option("--ca-file", "trust the certificates in this file (PEM)", "FILE", _parse_path),
    ] = None


DEFAULT_API_SECONDS = 60.0
DRY_RUN = Option(
    "--dry-run", "change nothing, and print the changes that would be made", action="store_true"
)
API_TIMEOUT = Option(
    "--timeout",
    f"wait this long for each of the server's answers (default: {DEFAULT_API_SECONDS:g})",
    "SECONDS",
    seconds,
)
LOGIN = Section(
    "login", "Without these: ZABBIX_TOKEN, or ZABBIX_USER and ZABBIX_PASSWORD, or you are asked."
)
"""Options of each verb that asks the API, and the title of LoginOptions in their help."""


class ProvisionOptions(NamedTuple):
    """The options of `provision`."""

    url: Annotated[Frontend, Option("", "the Zabbix frontend's address", "URL", parse_frontend)]
    template: Annotated[
        tuple[str, ...],
        Option(
            "--template",
            "agent, active or trapper: import this one (repeatable; default: all three), and link"
            " it to the hosts (default: agent)",
            choices=tuple(TEMPLATES),
            action="append",
        ),
    ] = ()
    hosts: Annotated[HostOptions, Section("hosts")] = HostOptions()
    login: Annotated[LoginOptions, LOGIN] = LoginOptions()
    delete_missing: Annotated[
        bool,
        Option(
            "--delete-missing",
            "delete parts of the templates on the server that these ones don't have",
            action="store_true",
        ),
    ] = False
    dry_run: Annotated[bool, DRY_RUN] = False
    timeout: Annotated[float, API_TIMEOUT] = DEFAULT_API_SECONDS


def desired_state(options: ProvisionOptions) -> DesiredState:
    """Return the state that the *options* ask for.

    Raises:
        UsageError: they contradict each other.
    """
    kinds = list(dict.fromkeys(options.template))
    hosts = options.hosts
    if not hosts.host:
        for name, value in hosts._asdict().items():
            if value:
                raise UsageError(f"--{name} is for hosts: give --host too")
    elif len(kinds) > 1:
        raise UsageError("a host is linked to one template: give --template once with --host")
    if len({identity(macro.name) for macro in hosts.macro}) < len(hosts.macro):
        raise UsageError("the same macro is given twice")
    return DesiredState(
        templates=tuple(TEMPLATES[kind] for kind in kinds or TEMPLATES),
        linked=TEMPLATES[kinds[0] if kinds else "agent"],
        hosts=tuple(dict.fromkeys(hosts.host)),
        group=hosts.group,
        proxy=hosts.proxy,
        interface=hosts.interface,
        macros=hosts.macro,
        delete_missing=options.delete_missing,
    )
