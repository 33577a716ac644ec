"""Destinations of a push, the host's name and the settings: by options, else as the agent's."""

from __future__ import annotations

import os

from zabbix_sockets.model.errors import SocketsError, UsageError, printable
from zabbix_sockets.sending.agent_config import (
    AgentConfig,
    find_agent_config,
    has_several,
    read_agent_config,
)
from zabbix_sockets.sending.contents import MASTER_KEY
from zabbix_sockets.sending.lines import Value, encode_line
from zabbix_sockets.sending.options import CONNECT, FILES, Destination
from zabbix_sockets.sending.transport import Sender


class Target:
    """The destinations of pushes, the host's name there, and how zabbix_sender is called.

    The agent's configuration file has what no option has. Its TLS settings are left out only where
    options name both a server and how to connect to it: a host whose agent encrypts sends nothing
    in plain text because somebody named another server.

    Attributes:
        config: the agent's configuration; None: it isn't used.
        has_alternatives: the agent's file was chosen among several.
        host: the host's name in Zabbix.
        destinations: each as zabbix_sender takes it: a server, a proxy, or the nodes of a cluster.
        sender: how zabbix_sender is called.

    Args:
        options: those of `send`.
        credentials: the folder of systemd's credentials; None: that of $CREDENTIALS_DIRECTORY.

    Raises:
        UsageError: it is not known where to, or as whom, or the agent's file can't be read.
    """

    def __init__(self, options: Destination, credentials: str | None = None) -> None:
        self.config = _read_config(options)
        self.has_alternatives = bool(self.config) and options.agent_config is None and has_several()
        self.host: str = options.host or (self.config.hostname if self.config else "")
        self.destinations: tuple[str, ...] = options.server
        if not self.destinations and self.config:
            self.destinations = self.config.destinations
        self._check_destinations()
        self._check_host()
        path = self.config.path if self.config else None
        sender_options = tuple(part for each in options.sender_options for part in each)
        folder = credentials or os.environ.get("CREDENTIALS_DIRECTORY")
        files = _credentials(folder, sender_options) if folder else []
        self.sender = Sender(path, (*sender_options, *files), options.port)

    def __str__(self) -> str:
        """Return in words the destinations, the host, and the file that the settings are of."""
        where = ", ".join(self.destinations)
        by = f", settings of {self.config.path}" if self.config else ""
        return printable(f"to {where} as host {self.host!r}{by}")

    def _check_destinations(self) -> None:
        if not self.destinations:
            said = "no agent's configuration"
            if self.config:
                said = f"{self.config.path} has no ServerActive"
            raise UsageError(f"where to? {said}", "give --server or --agent-config")

    def _check_host(self) -> None:
        if not self.host:
            said = f"{self.config.path} takes it from HostnameItem" if self.config else ""
            raise UsageError(
                f"as which host? {said}".rstrip(), "give it with --host, its name in Zabbix"
            )
        try:
            encode_line(Value(self.host, MASTER_KEY, 0, 0, "0"))
        except SocketsError:
            raise UsageError(f"no host is called {printable(self.host)!r}") from None


def _read_config(options: Destination) -> AgentConfig | None:
    path = options.agent_config
    if path is None and not (options.server and CONNECT in dict(options.sender_options)):
        path = find_agent_config()
    if path is None:
        return None
    try:
        return read_agent_config(os.path.abspath(path))
    except UsageError as error:
        if options.agent_config is None and options.server:
            error.hint = f"whether the agent encrypts is in there: say it with {CONNECT}"
        raise


def _credentials(folder: str, given: tuple[str, ...]) -> list[str]:
    """Return options of zabbix_sender for credentials of systemd, but for options that are *given*.

    LoadCredential=tls-psk-file:/... stands for --tls-psk-file, and so on: so a service can have a
    key which only the agent's user may read. See systemd.exec(5).
    """
    paths = {name: os.path.join(folder, name.removeprefix("--")) for name in FILES}
    return [
        part
        for name, path in paths.items()
        if name not in given and os.path.exists(path)
        for part in (name, path)
    ]
