"""Real proxies, active ones, between senders or agents and a server."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import programs, sending
from .agents import TIMEOUT_SECONDS, Kind, free_port
from .programs import Program, listens
from .sending import Row, Sent
from .servers import SCRIPTS, UPDATE_SECONDS, Server

_SETTINGS = {
    "DataSenderFrequency": 1,
    "StartPingers": 0,
    "StartDBSyncers": 1,
    "StartPollers": 2,
    "StartPreprocessors": 2,
    "StartTrappers": 2,
    "Timeout": TIMEOUT_SECONDS,
}

# What says how often an active proxy asks for its configuration.
_FREQUENCY = {"6.0": "ConfigFrequency", "7.0": "ProxyConfigFrequency"}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy."""

    server: Server
    proxyid: str
    port: int
    directory: Path
    program: Program

    @property
    def assignment(self) -> dict[str, Any]:
        """What Server.create_host takes to have a host monitored by this proxy."""
        if self.server.version == "6.0":
            return {"proxy_hostid": self.proxyid}
        return {"monitored_by": 1, "proxyid": self.proxyid}

    def send(self, rows: Sequence[Row]) -> Sent:
        """Send *rows* with zabbix_sender."""
        return sending.send(self.server.version, self.port, rows)

    def reload(self) -> None:
        """Return when server and proxy know all that is configured now."""
        self.server.reload()
        programs.reload(_command(self.server.version, self.directory), self.program.log)

    def start_again(self) -> Program:
        """Start the proxy, which has ended, with the values that its database has kept."""
        program = _start(self.server.version, self.directory)
        program.wait(lambda: listens(self.port))
        return program


@contextmanager
def running(server: Server, root: Path, **settings: object) -> Iterator[Proxy]:
    """Run a proxy for *server* in a new directory below *root*, with *settings* of its own.

    The server knows of it as long as it has its database.
    """
    port = free_port()
    name = f"proxy-{server.version}-{port}"
    directory = root / name
    directory.mkdir()
    shutil.chown(directory, "zabbix", "zabbix")
    places = {
        "Server": f"127.0.0.1:{server.port}",
        "Hostname": name,
        "ListenIP": "127.0.0.1",
        "ListenPort": port,
        "LogType": "console",
        "PidFile": directory / "proxy.pid",
        "SocketDir": directory,
        "TmpDir": directory,
        "ExternalScripts": directory / SCRIPTS,
        "DBName": directory / "proxy.sqlite",
        _FREQUENCY[server.version]: UPDATE_SECONDS,
    }
    lines = [f"{key}={value}\n" for key, value in {**_SETTINGS, **places, **settings}.items()]
    (directory / "proxy.conf").write_text("".join(lines))
    proxyid = _register(server, name)
    server.reload()
    with ExitStack() as stack:
        program = _start(server.version, directory)
        stack.callback(program.stop)
        program.wait(lambda: listens(port))
        yield Proxy(server, proxyid, port, directory, program)


def _register(server: Server, name: str) -> str:
    active = {"host": name, "status": 5}
    if server.version != "6.0":
        active = {"name": name, "operating_mode": 0}
    (proxyid,) = server.api.proxy.create(**active)["proxyids"]
    return str(proxyid)


def _start(version: str, directory: Path) -> Program:
    command = [*_command(version, directory), "--foreground"]
    return programs.start(command, directory / "proxy.log")


def _command(version: str, directory: Path) -> list[str]:
    program = Kind("zabbix_proxy", version).path("zabbix_proxy")
    return [str(program), "--config", str(directory / "proxy.conf")]
