"""Real servers and proxies that stop, are killed or hang while send pushes to them."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from . import proxies
from .outages import Receiver, hang, host_with_documents, kill, receiving, stop, stored
from .programs import wait_for
from .pushing import BUSY_SECONDS, QUICK, running, waiting, with_sender
from .recorder import recording
from .servers import SERVER_VERSIONS, Host, Servers
from .stage import UnavailableError

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("server-7.0-*", "proxy-6.0-*")]

_MAX_TEXT = 65_535
_MISSED = 3  # documents that one outage lasts
_UNSAVED_SECONDS = BUSY_SECONDS
"""Within which a server or proxy has written to its database what it has said it took."""


@pytest.fixture(scope="module", params=SERVER_VERSIONS)
def own_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Receiver]:
    """A server of each version that no other test needs."""
    try:
        with receiving(servers, request.param) as own:
            yield own
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module", params=["server", "proxy"])
def receiver(request: pytest.FixtureRequest, own_server: Receiver, lab: Path) -> Iterator[Receiver]:
    """The server itself, or a proxy of it."""
    if request.param == "server":
        yield own_server
        return
    server = own_server.server
    with proxies.running(server, lab) as proxy:
        command = proxies._command(server.version, proxy.directory)
        own = Receiver(server, proxy.port, command, proxy.program, proxy.assignment, proxy.reload)
        yield own
        own.program.stop()


@pytest.fixture
def host(receiver: Receiver) -> Iterator[Host]:
    """A host that keeps documents as text."""
    with host_with_documents(receiver) as host:
        yield host


@pytest.mark.parametrize("outage", [stop, kill, hang])
def test_outage(
    receiver: Receiver,
    host: Host,
    outage: Callable[[Receiver], AbstractContextManager[None]],
    tmp_path: Path,
) -> None:
    """Every document is in the history with its own time, and nothing else.

    A recorder that gets the same documents tells what there was. A server that is killed loses
    what it had said it took, and not yet saved.
    """
    to, spool = f"127.0.0.1:{receiver.port}", tmp_path / "spool.sqlite"
    with recording() as recorder:
        how = ["--interval", "1", "--send-timeout", "1", "--spool", str(spool)]
        where = ["--server", to, "--server", recorder.address, "--host", host.name]
        command = [sys.executable, "-m", "zabbix_sockets", "send", *QUICK, *how, *where]
        with running(with_sender(receiver.server.version, command), tmp_path / "log"):
            wait_for(lambda: len(recorder.taken) >= 3)
            began = time.time()
            with outage(receiver):
                wait_for(lambda: waiting(spool, to) >= _MISSED, lambda: waiting(spool, to))
            wait_for(lambda: waiting(spool, to) == 0, lambda: waiting(spool, to))
            after = len(recorder.taken)
            wait_for(lambda: len(recorder.taken) >= after + 2)
        made = {
            (value["clock"], value["ns"], value["value"][:_MAX_TEXT]) for value in recorder.taken
        }
        assert len(made) == len(recorder.taken)
    unsaved = {row for row in made if began - _UNSAVED_SECONDS < row[0] <= began}
    if outage is not kill:
        unsaved = set()
    wait_for(lambda: made - stored(receiver.server, host) <= unsaved)
    assert stored(receiver.server, host) <= made
