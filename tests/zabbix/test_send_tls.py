"""TLS between send and real servers, by the agent's own settings; and what is said without it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets.sending.spool import Spool

from .certificates import Certificates
from .programs import wait_for
from .pushing import push
from .servers import SERVER_VERSIONS, Host, Server, Servers
from .stage import UnavailableError

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

_TRAPPER, _TEXT = 2, 4
_MAX_TEXT = 65_535
_UNENCRYPTED, _PSK, _CERTIFICATE = 1, 2, 4
IDENTITY = "the host's own, 1"
GIVEN_KEY, OTHER_KEY = "5a" * 32, "a5" * 32


@dataclass(frozen=True, slots=True)
class Lab:
    """A server that knows TLS, with the files of its hosts."""

    server: Server
    certificates: Certificates

    @property
    def address(self) -> str:
        """What ServerActive= has."""
        return f"127.0.0.1:{self.server.port}"

    def settings(self, accept: int, folder: Path) -> dict[str, str]:
        """Return the settings of an agent whose host accepts only this."""
        if accept == _PSK:
            key = folder / "psk"
            key.write_text(GIVEN_KEY)
            return {"Connect": "psk", "PSKIdentity": IDENTITY, "PSKFile": str(key)}
        if accept == _UNENCRYPTED:
            return {"Connect": "unencrypted"}
        files = self.certificates
        return {
            "Connect": "cert",
            "CAFile": files.pem("ca"),
            "CertFile": files.pem("client"),
            "KeyFile": files.key("client"),
            "ServerCertSubject": "CN=server",
        }


@pytest.fixture(scope="module", params=SERVER_VERSIONS)
def tls(request: pytest.FixtureRequest, servers: Servers, lab: Path) -> Iterator[Lab]:
    """A server of each version that has a certificate and checks those of others."""
    authorities = {"ca": ("server", "client"), "other ca": ("stranger",)}
    try:
        files = Certificates(lab / f"tls-{request.param}", authorities)
        with servers.fresh(request.param, **files.of_server()) as server:
            yield Lab(server, files)
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.fixture
def host(tls: Lab, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A host that accepts only one kind of connection, which the test says, and keeps texts."""
    own: dict[str, Any] = {"tls_accept": request.param}
    if request.param == _PSK:
        own |= {"tls_psk_identity": IDENTITY, "tls_psk": GIVEN_KEY}
    host = tls.server.create_host("tls", **own)
    tls.server.api.item.create(
        hostid=host.hostid, name="all", key_="sockets.get", type=_TRAPPER, value_type=_TEXT
    )
    tls.server.reload()
    yield host
    tls.server.disable_host(host)


def configure(folder: Path, tls: Lab, host: Host, settings: Mapping[str, str]) -> tuple[str, ...]:
    """Write the agent's file, TLS in one that it includes; return the options for send."""
    config = folder / "agentd.conf"
    config.write_text(
        f"Server=127.0.0.1\nServerActive={tls.address}\nHostname={host.name}\n"
        f"LogFile={folder}/agentd.log\nInclude={folder}/agentd.d/*.conf\n"
    )
    (folder / "agentd.d").mkdir(exist_ok=True)
    lines = (f"TLS{name}={value}\n" for name, value in settings.items())
    (folder / "agentd.d/tls.conf").write_text("".join(lines))
    return "--agent-config", str(config), "--spool", str(folder / "spool.sqlite")


def stored(tls: Lab, host: Host) -> list[tuple[int, int, str]]:
    """Return what the host's item has in its history: time and text."""
    (item,) = tls.server.items(host.hostid)
    rows = tls.server.history(item["itemid"], _TEXT)
    return [(int(row["clock"]), int(row["ns"]), row["value"]) for row in rows]


@pytest.mark.parametrize("host", [_PSK, _CERTIFICATE], indirect=True, ids=["psk", "cert"])
@pytest.mark.parametrize("sender", SERVER_VERSIONS)
def test_settings_of_the_agent(
    tls: Lab, host: Host, sender: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Either zabbix_sender encrypts as the agent's file says, and the server takes nothing else."""
    settings = tls.settings(request.node.callspec.params["host"], tmp_path)
    answer = push(sender, *configure(tmp_path, tls, host, settings))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == f"{tls.address}: sent 1, failed 0\n"
    wait_for(lambda: len(stored(tls, host)) == 1)


OPTIONS = {
    "Connect": "--tls-connect",
    "PSKIdentity": "--tls-psk-identity",
    "PSKFile": "--tls-psk-file",
    "CAFile": "--tls-ca-file",
    "CertFile": "--tls-cert-file",
    "KeyFile": "--tls-key-file",
    "ServerCertSubject": "--tls-server-cert-subject",
}


@pytest.mark.parametrize("host", [_PSK, _CERTIFICATE], indirect=True, ids=["psk", "cert"])
def test_options(tls: Lab, host: Host, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The same by options, without an agent's file."""
    settings = tls.settings(request.node.callspec.params["host"], tmp_path)
    given = [each for name, value in settings.items() for each in (OPTIONS[name], value)]
    to = ("--server", tls.address, "--host", host.name)
    answer = push(tls.server.version, *to, *given)
    assert (answer.returncode, answer.stderr) == (0, "")
    wait_for(lambda: len(stored(tls, host)) == 1)


NOT_TLS = r".*cannot establish TLS to .*"
REFUSED = r".*sent 0, failed 1, 1 waiting: the server refused it: .*\(TLSConnect\)"

# What the agent's settings have instead of the right ones ({} are the test's own folders), and
# what is said. A server that doesn't like a key or a certificate just ends the connection.
FAULTS: dict[str, tuple[int, dict[str, str], str]] = {
    "wrong key": (_PSK, {"PSKFile": "{tmp}/other-psk"}, NOT_TLS),
    "unknown identity": (_PSK, {"PSKIdentity": "nobody"}, NOT_TLS),
    "no key": (_PSK, {"PSKFile": "{tmp}/none"}, r'.*"[^"]+/none": \[2\] No such file .*'),
    "identity without key": (_PSK, {"PSKFile": ""}, r'.*"?TLSPSKFile"?.*'),
    "certificate for a key": (_PSK, {"Connect": "cert"}, r".*TLSCertFile.*"),
    "unencrypted to PSK": (_PSK, {"Connect": "unencrypted"}, REFUSED),
    "unencrypted to certificate": (_CERTIFICATE, {"Connect": "unencrypted"}, REFUSED),
    "wrong CA": (
        _CERTIFICATE,
        {"CAFile": "{pem}/other ca.pem"},
        NOT_TLS + "certificate is NOT trusted.*",
    ),
    "wrong certificate": (
        _CERTIFICATE,
        {"CertFile": "{pem}/stranger.pem", "KeyFile": "{pem}/stranger.key"},
        NOT_TLS,
    ),
    "wrong server": (
        _CERTIFICATE,
        {"ServerCertSubject": "CN=else"},
        NOT_TLS + 'subject: peer: "CN=server", required: "CN=else".*',
    ),
    "key of another": (
        _CERTIFICATE,
        {"KeyFile": "{pem}/server.key"},
        ".*certificate or private key from .*",
    ),
    "TLS to a host that wants none": (
        _UNENCRYPTED,
        {
            "Connect": "cert",
            "CAFile": "{pem}/ca.pem",
            "CertFile": "{pem}/client.pem",
            "KeyFile": "{pem}/client.key",
        },
        REFUSED,
    ),
}


@pytest.mark.parametrize(("host", "wrong", "said"), FAULTS.values(), ids=FAULTS, indirect=["host"])
def test_fault(
    tls: Lab,
    host: Host,
    wrong: dict[str, str],
    said: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """One line names TLS and the fault; the document waits, and goes when that is mended.

    It comes with its own time, before the next one.
    """
    (tmp_path / "other-psk").write_text(OTHER_KEY)
    settings = tls.settings(request.node.callspec.params["host"], tmp_path)
    places = {"tmp": tmp_path, "pem": Path(tls.certificates.pem("ca")).parent}
    broken = settings | {name: value.format(**places) for name, value in wrong.items()}
    options = configure(tmp_path, tls, host, {name: text for name, text in broken.items() if text})
    answer = push(tls.server.version, *options)
    assert (answer.returncode, answer.stdout) == (1, "")
    line, _ = answer.stderr.splitlines()
    assert re.fullmatch(said, line), line
    assert line.startswith(f"{tls.address}: sent 0, failed ")
    assert ", 1 waiting: " in line
    waiting = first_waiting(tmp_path, tls.address)
    assert stored(tls, host) == []

    answer = push(tls.server.version, *configure(tmp_path, tls, host, settings))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == f"{tls.address}: sent 2, failed 0\n"
    wait_for(lambda: len(stored(tls, host)) == 2)
    first, second = stored(tls, host)
    assert first == waiting
    assert second > first


def first_waiting(folder: Path, destination: str) -> tuple[int, int, str]:
    """Return what waits in the spool: time and text."""
    spool = Spool(str(folder / "spool.sqlite"), 1 << 30)
    try:
        oldest = spool.oldest(destination)
    finally:
        spool.close()
    assert oldest is not None
    (value,) = oldest.values
    return value.clock, value.ns, value.text[:_MAX_TEXT]
