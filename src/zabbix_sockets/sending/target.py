"""Where to push, as which host, and with what: the options, else what the agent has."""

import argparse
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
from zabbix_sockets.sending.options import CONNECT, FILES
from zabbix_sockets.sending.transport import Sender


class Target:
    """Where to push, and as which host.

    The agent's file says what no option says. Its TLS settings are left out only where options
    name both a server and how to connect to it: a host whose agent encrypts sends nothing in
    plain text because somebody named another server.

    Raises:
        UsageError: it is not known where to, or as whom, or the agent's file can't be read.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.config = _read_config(options)
        self.is_choice = bool(self.config) and options.agent_config is None and has_several()
        """Whether the agent's file is one of several that it could be."""
        self.host: str = options.host or (self.config.hostname if self.config else "")
        self.destinations: tuple[str, ...] = tuple(options.server or ())
        if not self.destinations and self.config:
            self.destinations = self.config.destinations
        self._check_destinations()
        self._check_host()
        path = self.config.path if self.config else None
        handed_on = tuple(options.handed_on)
        self.sender = Sender(path, (*handed_on, *_credentials(handed_on)), options.port)

    def __str__(self) -> str:
        """Return in words where it pushes to, as whom, and whose settings it takes."""
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


def _read_config(options: argparse.Namespace) -> AgentConfig | None:
    path = options.agent_config
    if path is None and not (options.server and CONNECT in options.handed_on):
        path = find_agent_config()
    if path is None:
        return None
    try:
        return read_agent_config(os.path.abspath(path))
    except UsageError as error:
        if options.agent_config is None and options.server:
            error.hint = f"whether the agent encrypts is in there: say it with {CONNECT}"
        raise


def _credentials(given: tuple[str, ...]) -> list[str]:
    """Return options for the files that systemd hands to a service: LoadCredential=tls-psk-file:...

    One is called as the option that it stands for. So a service can have a key which only the
    agent's user may read.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return []
    paths = {name: os.path.join(folder, name.removeprefix("--")) for name in FILES}
    return [
        part
        for name, path in paths.items()
        if name not in given and os.path.exists(path)
        for part in (name, path)
    ]
