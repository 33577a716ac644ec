"""Options of `setup`."""

import re
from typing import Annotated, NamedTuple

from zabbix_sockets.model.option import Option

_SERVERS = re.compile(r"[0-9A-Za-z_.:,;\[\]-]{1,255}")
_HOST = re.compile(r"[0-9A-Za-z_. -]{1,128}")


def _parse_servers(text: str) -> str:
    if not _SERVERS.fullmatch(text):
        raise ValueError("not servers' addresses or names, with ',' between them")
    return text


def _parse_host(text: str) -> str:
    if not _HOST.fullmatch(text) or text != text.strip():
        raise ValueError("not a host's name in Zabbix: letters, digits, '_', '.', '-' and spaces")
    return text


class SetupOptions(NamedTuple):
    """The options of `setup`."""

    dry_run: Annotated[
        bool,
        Option(
            "--dry-run",
            "change nothing: print each command that a person could type instead",
            action="store_true",
        ),
    ] = False
    restart: Annotated[
        bool,
        Option(
            "--restart",
            "restart what needs it: each agent that doesn't have its keys yet, and with"
            " --external-check the server or proxy (default: ask on a terminal, else print it)",
            action="store_true",
        ),
    ] = False
    push: Annotated[
        bool,
        Option(
            "--push",
            "set up the service that pushes documents with zabbix_sender, too",
            action="store_true",
        ),
    ] = False
    server: Annotated[
        str,
        Option(
            "--server",
            "with --push: the servers and proxies (default: those of the agent's configuration)",
            "ADDRESS",
            _parse_servers,
        ),
    ] = ""
    host: Annotated[
        str,
        Option(
            "--host",
            "with --push: the host's name in Zabbix (default: as the agent's configuration has it)",
            "NAME",
            _parse_host,
        ),
    ] = ""
    keys: Annotated[
        bool,
        Option(
            "--no-keys",
            "give no agent the keys, such as where only --push is wanted",
            action="store_false",
        ),
    ] = True
    external_check: Annotated[
        bool,
        Option(
            "--external-check",
            "on a Zabbix server or proxy: let items of type External check ask this machine",
            action="store_true",
        ),
    ] = False
    remove: Annotated[
        bool,
        Option("--remove", "take back what setup has done on this host", action="store_true"),
    ] = False
