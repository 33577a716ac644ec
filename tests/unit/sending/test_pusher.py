"""From a document to zabbix_sender, by way of the spool; with a program in its place."""

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from json_documents import JsonDocument

from zabbix_sockets.command.arguments import parse
from zabbix_sockets.document import head
from zabbix_sockets.sending import agent_config
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.pusher import Pusher
from zabbix_sockets.sending.spool import Spool, State

_TAKES_ALL = """
import sys
n = len(sys.stdin.readlines())
print(f'Response from "a": "processed: {n}; failed: 0; total: {n}; seconds spent: 0.1"')
"""


def make() -> str:
    """Return a document with one process, as JSON."""
    row: JsonDocument = {"id": "p", "name": "p", "settled": 1, "instances": 1, "sockets": 2}
    lists: JsonDocument = {"processes": [row], "listeners": [], "upstreams": []}
    return json.dumps({"complete": 0, "lists": dict.fromkeys(lists, 0), "collector": {}, **lists})


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a zabbix_sender in $PATH, and without an agent; its folder for files."""
    program = tmp_path / "zabbix_sender"
    program.write_text(f"#!{sys.executable}\n{_TAKES_ALL}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(agent_config, "PLACES", {})
    return tmp_path


def pusher(host: Path, *arguments: str) -> Pusher:
    """Return what `send --server a` pushes with."""
    to = ("--server", "a", "--host", "h", "--spool", str(host / "s.sqlite"))
    return Pusher(parse(["send", *to, *arguments]).options.pushing, make)


@pytest.fixture
def lock(host: Path) -> Iterator[int]:
    """The lock of another process that sends from the same spool."""
    lock = os.open(host / "s.sqlite.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield lock
    os.close(lock)


def test_root_beside_the_service(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single push of root's keeps off the service's folder, and does without a spool."""
    folder = host / "state"
    folder.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    if os.geteuid():
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    else:
        os.chown(folder, 65534, -1)
    request = parse(["send", "--server", "a", "--host", "h"])
    assert Pusher(request.options.pushing, make).spool is None
    assert not list(folder.iterdir())


@pytest.mark.parametrize("values", [(), ("--values",)], ids=["document", "values"])
def test_while_another_sends(host: Path, lock: int, values: tuple[str, ...]) -> None:
    """Whatever is pushed is on disk before its lock is waited for, and goes afterwards."""
    own = pusher(host, *values)
    own.wait_policy.lock_seconds = 0.2
    other = Spool(str(host / "s.sqlite"), 1 << 30)
    on_disk: list[State] = []
    own.wait_policy.beat = lambda: on_disk.append(other.state("a"))
    (report,) = own.deliver(own.make())
    assert on_disk[0].waiting == 1
    assert (report.delivered, report.waiting) == (False, 1)
    assert "another process uses it" in str(report)
    assert len(other.lines("a")) == len(values)  # a process whose items are not known
    own.retry()
    assert not own.drain(["a"])
    fcntl.flock(lock, fcntl.LOCK_UN)
    (report,) = own.drain(["a"])
    assert report.delivered
    (report,) = own.deliver(own.make())
    assert report.delivered
    assert other.state() == State(0, 0, None)
    assert not other.lines("a")
    for each in (own.spool, other):
        assert each
        each.close()


def test_what_waits_is_in_the_document(host: Path) -> None:
    """Also what waits for a server that is in no configuration any more."""
    own = pusher(host)
    assert own.spool
    own.spool.add([("gone", [Value("h", "k", 7, 0, "1")])])
    spool = own.make().collector.spool
    assert spool == head.SpoolFigures(waiting=1, dropped=0, oldest=7)
    own.spool.close()
