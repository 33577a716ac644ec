"""What `check` says of real servers and proxies that are pushed to, asked by zabbix_sender."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import psutil
import pytest

from tests.unit.check.trees import CONFIG, Tree
from zabbix_sockets.check.line import BROKEN, OK, Line
from zabbix_sockets.check.servers import check_servers
from zabbix_sockets.check.trapper import KEY
from zabbix_sockets.check.units import SEND_UNIT

from . import proxies
from .agents import free_port
from .certificates import Certificates
from .pushing import sender
from .servers import SERVER_VERSIONS, Server, Servers
from .stage import UnavailableError
from .test_send_tls import GIVEN_KEY, IDENTITY, OTHER_KEY

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

_PSK = 2
_SECONDS = 2.8
"""As long as `check` may take."""


class Lab:
    """A server that knows TLS, one host of it that has a key, and a host that pushes there.

    Attributes:
        server: the server.
        files: its certificates, and those of hosts.
        key: the file with the host's key.
        other_key: one with another key.
    """

    def __init__(self, server: Server, files: Certificates, folder: Path) -> None:
        self.server = server
        self.files = files
        self.key, self.other_key = folder / "psk", folder / "other-psk"
        self.key.write_text(GIVEN_KEY)
        self.other_key.write_text(OTHER_KEY)
        host = server.create_host(
            "asked", tls_accept=_PSK, tls_psk_identity=IDENTITY, tls_psk=GIVEN_KEY
        )
        self.host = host.name
        server.reload()

    def psk(self, **more: str) -> dict[str, str]:
        """Return the settings of an agent with the host's key."""
        own = {"TLSConnect": "psk", "TLSPSKIdentity": IDENTITY, "TLSPSKFile": str(self.key)}
        return own | more

    def cert(self, name: str = "client", ca: str = "ca", **more: str) -> dict[str, str]:
        """Return the settings of an agent with a certificate."""
        own = {"TLSConnect": "cert", "TLSCAFile": self.files.pem(ca)}
        own |= {"TLSCertFile": self.files.pem(name), "TLSKeyFile": self.files.key(name)}
        return own | more


@pytest.fixture(scope="module", params=SERVER_VERSIONS)
def asked(
    request: pytest.FixtureRequest,
    servers: Servers,
    lab: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """A server of each version."""
    try:
        names = {"ca": ("server", "client"), "other ca": ("stranger",)}
        files = Certificates(lab / f"asked-{request.param}", names)
        with servers.fresh(request.param, **files.of_server()) as server:
            yield Lab(server, files, tmp_path_factory.mktemp("keys"))
    except UnavailableError as exc:
        pytest.skip(str(exc))


def check(
    folder: Path, version: str, port: int, settings: dict[str, str], host: str = "asked"
) -> Line:
    """Return the line about a server on that port, of a host whose agent has these settings."""
    tree = Tree(folder)
    tree.seconds = _SECONDS
    pairs = [("ServerActive", f"127.0.0.1:{port}"), ("Hostname", host), *settings.items()]
    tree.write(CONFIG, "".join(f"{name}={value}\n" for name, value in pairs))
    tree.program("zabbix_sender", f'exec {sender(version)} "$@"')
    tree.boot_systemd(SEND_UNIT, MainPID="77")
    tree.write("/proc/77/status", "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \n")
    begun = time.monotonic()
    (line,) = check_servers(tree(), (tree.agent(*pairs),))
    assert time.monotonic() - begun < 2 * _SECONDS  # what hangs would go on for minutes
    return line


def new_lines(log: Path, size: int) -> list[str]:
    """Return what a server has logged behind *size* bytes, without its own reloads and starts."""
    time.sleep(0.5)
    lines = log.read_bytes()[size:].decode().splitlines()
    return [each for each in lines if "reloading" not in each and "started" not in each]


@pytest.mark.parametrize("version", SERVER_VERSIONS)
@pytest.mark.parametrize("kind", ["without TLS", "a pre-shared key", "certificates"])
def test_healthy_server(asked: Lab, version: str, kind: str, tmp_path: Path) -> None:
    """It answers either zabbix_sender, logs nothing of the question, and has no new item."""
    own = {"without TLS": {}, "a pre-shared key": asked.psk(), "certificates": asked.cert()}[kind]
    size = asked.server.log.stat().st_size
    line = check(tmp_path, version, asked.server.port, own, asked.host)
    assert line.state == OK
    assert line.message.endswith(f"answers zabbix_sender, {'over TLS with ' * bool(own)}{kind}")
    assert new_lines(asked.server.log, size) == []
    assert asked.server.sql(f"select itemid from items where key_='{KEY}'") == []
    assert asked.server.sql("select hostid from hosts where host='asked'") == []


@pytest.mark.parametrize("version", SERVER_VERSIONS)
def test_proxy(asked: Lab, version: str, lab: Path, tmp_path: Path) -> None:
    """A proxy answers as a server does, whether the host is its own or not."""
    with proxies.running(asked.server, lab) as proxy:
        size = proxy.program.log.stat().st_size
        assert check(tmp_path, version, proxy.port, {}).state == OK
        told = [
            each for each in new_lines(proxy.program.log, size) if KEY in each or "fail" in each
        ]
        assert told == []


REFUSED = "takes connections, and no TLS as TLSConnect="

FAULTS: dict[str, tuple[str, dict[str, str], str]] = {
    "unknown identity": ("psk", {"TLSPSKIdentity": "nobody"}, f"{REFUSED}psk"),
    "wrong key": ("psk", {"TLSPSKFile": "{other}"}, f"{REFUSED}psk"),
    "no key": ("psk", {"TLSPSKFile": "/no/such"}, "zabbix_sender can't ask: "),
    "stranger": ("stranger", {}, f"{REFUSED}cert"),
    "other CA": ("other ca", {}, "certificate is NOT trusted"),
    "other server": ("client", {"TLSServerCertSubject": "CN=else"}, 'required: "CN=else"'),
}


@pytest.mark.parametrize("version", SERVER_VERSIONS)
@pytest.mark.parametrize(("own", "wrong", "said"), FAULTS.values(), ids=FAULTS)
def test_tls_is_refused(
    asked: Lab, version: str, own: str, wrong: dict[str, str], said: str, tmp_path: Path
) -> None:
    """It is named, and the next command asks again and tells what was used."""
    settings = asked.psk() if own == "psk" else asked.cert()
    if own == "stranger":
        settings = asked.cert("stranger")
    elif own == "other ca":
        settings = asked.cert(ca="other ca")
    settings |= {name: text.format(other=asked.other_key) for name, text in wrong.items()}
    line = check(tmp_path, version, asked.server.port, settings, asked.host)
    assert line.state == BROKEN
    assert said in line.message
    again = subprocess.run(shlex.split(line.next), capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "TLS" in again.stdout + again.stderr


@pytest.mark.parametrize("version", SERVER_VERSIONS)
def test_no_connection(version: str, tmp_path: Path) -> None:
    """Where nobody listens, the kernel's word is said, and zabbix_sender is not called."""
    line = check(tmp_path, version, port := free_port(), {"TLSConnect": "psk"})
    assert line.state == BROKEN
    assert f"127.0.0.1 port {port}: Connection refused" in line.message


class Greeting(StreamRequestHandler):
    """A service that speaks first, as those of SSH and mail do."""

    def handle(self) -> None:
        """Greet the client, and take what it says."""
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        self.rfile.read(1)


@pytest.mark.parametrize("version", SERVER_VERSIONS)
def test_no_zabbix(version: str, tmp_path: Path) -> None:
    """Another service answers, though nothing that zabbix_sender understands."""
    with ThreadingTCPServer(("127.0.0.1", 0), Greeting) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        line = check(tmp_path, version, service.server_address[1], {})
        service.shutdown()
        thread.join()
    assert line.state == BROKEN
    assert "takes connections, and is no Zabbix server or proxy" in line.message
    assert line.next.startswith("zabbix-sockets setup --push")


NO_ZABBIX = {"6.0": "and is no Zabbix server or proxy", "7.0": "and no answer comes in time"}
"""What is found where a web server ends the connection: zabbix_sender 7.0 goes on waiting."""


@pytest.mark.parametrize("version", SERVER_VERSIONS)
def test_port_of_the_frontend(asked: Lab, version: str, tmp_path: Path) -> None:
    """PHP's own web server ends the connection without a word."""
    port = int(asked.server.url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    line = check(tmp_path, version, port, {})
    assert line.state == BROKEN
    assert NO_ZABBIX[version] in line.message


@contextmanager
def stopped_trappers(server: Server) -> Iterator[None]:
    """Have all trappers of a server stopped: it takes connections, and answers none."""
    own = psutil.Process(server.program.process.pid).children(recursive=True)
    trappers = [each.pid for each in own if "trapper" in " ".join(each.cmdline())]
    assert trappers
    for pid in trappers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in trappers:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("version", SERVER_VERSIONS)
@pytest.mark.parametrize("own", ["plain", "psk"])
def test_server_hangs(asked: Lab, version: str, own: str, tmp_path: Path) -> None:
    """A server whose trappers don't answer is found out while `check` has time."""
    with stopped_trappers(asked.server):
        settings = asked.psk() if own == "psk" else {}
        line = check(tmp_path, version, asked.server.port, settings, asked.host)
    assert line.state == BROKEN
    assert "takes connections, and no answer comes in time" in line.message
    assert f"-s '{asked.host}' -k {KEY}" in line.next
