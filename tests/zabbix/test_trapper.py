"""Documents that send has pushed, in the items of real servers: directly and through a proxy."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .processes import Holder
from .programs import PATIENCE_SECONDS, wait_for
from .proxies import Proxy
from .pushing import push, running, with_sender
from .recorder import recording
from .servers import SERVER_VERSIONS, Host, Server
from .stage import HOME, Stage, UnavailableError, as_zabbix
from .watched import Watched, watch

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("6.0-proxy*")]

WAYS = ("server", "proxy")
_TRAPPER, _TEXT = 2, 4
_MAX_TEXT = 65_535
"""Characters of a text that a server keeps."""


def service(stage: Stage, version: str, host: str, port: int, folder: Path) -> list[str]:
    """Return `send --interval 1` as user zabbix, with the iterators and no privilege."""
    to = ["--server", f"127.0.0.1:{port}", "--host", host, "--spool", str(folder / "spool")]
    command = [str(HOME / "bin/python3"), "-I", "-m", "zabbix_sockets", "send", "--interval", "1"]
    return stage.inside(as_zabbix(with_sender(version, [*command, *to])), pins=True)


@pytest.fixture(params=WAYS)
def pushed(
    request: pytest.FixtureRequest, stage: Stage, server: Server, proxy: Proxy, lab: Path
) -> Iterator[Watched]:
    """A host with the template, to which a service pushes every second."""
    try:
        stage.load()
    except UnavailableError as exc:
        pytest.skip(str(exc))
    by_proxy = request.param == "proxy"
    host = watch(server, "trapper", proxy=proxy if by_proxy else None)
    port = proxy.port if by_proxy else server.port
    folder = lab / f"{server.version} {host.host.name}"
    folder.mkdir()
    folder.chmod(0o777)
    command = service(stage, server.version, host.host.name, port, folder)
    with running(command, folder / "send.log"):
        yield host
    server.disable_host(host.host)


def test_documents_come(pushed: Watched, others: Holder) -> None:
    """Rows are discovered, items have what the documents say, and nothing is unsupported."""
    pushed.wait_for_rows({f'sockets.process.sockets["{others.name}"]'})
    pushed.wait_for_values({f'sockets.process.sockets["{others.name}"]': "10"})
    pushed.wait_for_truth()
    pushed.wait_for_no_faults()


@pytest.fixture
def plain(server: Server, proxy: Proxy, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A host without the template, with an item of its own that keeps documents as text."""
    through = proxy.assignment if request.param == "proxy" else {}
    host = server.create_host("plain", **through)
    server.api.item.create(
        hostid=host.hostid, name="all", key_="sockets.get", type=_TRAPPER, value_type=_TEXT
    )
    (proxy if through else server).reload()
    yield host
    server.disable_host(host)


@pytest.mark.parametrize("sender", SERVER_VERSIONS)
@pytest.mark.parametrize("plain", WAYS, indirect=True)
def test_time_and_text_are_kept(
    server: Server, proxy: Proxy, plain: Host, sender: str, request: pytest.FixtureRequest
) -> None:
    """A value is in the history with the very nanosecond at which send had its document.

    A recorder that got the same document tells that; either zabbix_sender does for either server.
    """
    way = request.node.callspec.params["plain"]
    to = f"127.0.0.1:{proxy.port if way == 'proxy' else server.port}"
    with recording() as recorder:
        both = ("--server", to, "--server", recorder.address, "--host", plain.name)
        expected: list[tuple[int, int, str]] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(expected) < 3:
            number = len(recorder.taken)
            answer = push(sender, *both)
            assert len(recorder.taken) == number + 1
            if answer.returncode and time.monotonic() < deadline:
                time.sleep(1)  # it is busy, or does not know the item yet
                continue
            assert (answer.returncode, answer.stderr) == (0, "")
            assert f"{to}: sent 1, failed 0\n" in answer.stdout
            taken = recorder.taken[-1]
            expected.append((taken["clock"], taken["ns"], taken["value"][:_MAX_TEXT]))
    (item,) = server.items(plain.hostid)
    wait_for(lambda: len(server.history(item["itemid"], _TEXT)) == len(expected))
    stored = server.history(item["itemid"], _TEXT)
    assert [(int(row["clock"]), int(row["ns"]), row["value"]) for row in stored] == expected
    assert len({ns for _, ns, _ in expected}) == len(expected)
