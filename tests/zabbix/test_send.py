"""The verb send with the real zabbix_sender: what arrives, what waits, what is said."""

import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.transport import Outcome, Sender, push

from .agents import Kind
from .programs import wait_for
from .pushing import BUSY_SECONDS, waiting
from .recorder import Mood, Recorder, recording
from .stage import UnavailableError

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

VERSIONS = ("6.0", "7.0")


@pytest.fixture(params=VERSIONS)
def program(request: pytest.FixtureRequest) -> str:
    """The zabbix_sender of each version."""
    try:
        return str(Kind("zabbix_sender", request.param).path("zabbix_sender"))
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.fixture
def server() -> Iterator[Recorder]:
    """A server that remembers what it took."""
    with recording() as recorder:
        yield recorder


def command(program: str, *arguments: str) -> list[str]:
    """Return the command line of send; zabbix_sender is found by PATH, where nothing else is."""
    return [
        "env",
        f"PATH={os.path.dirname(program)}",
        sys.executable,
        "-m",
        "zabbix_sockets",
        "send",
        *arguments,
    ]


def send(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Push once."""
    own = ("--netns", "own", "--source", "sock_diag")  # the quickest without privilege
    return subprocess.run(
        command(program, *own, *arguments), capture_output=True, text=True, check=False
    )


def document(value: dict[str, Any]) -> dict[str, Any]:
    """Return the document in a value, and check where it goes."""
    assert (value["host"], value["key"]) == ("web 1", "sockets.get")
    content = json.loads(value["value"])
    assert isinstance(content, dict)
    assert 0 <= value["clock"] - content["time"] < 60
    assert 0 <= value["ns"] < 10**9
    return content


def test_one_document(program: str, server: Recorder) -> None:
    """It arrives whole, with its time, in one value of one call, and the line says so."""
    answer = send(program, "--server", server.address, "--host", "web 1")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == f"{server.address}: sent 1, failed 0\n"
    (value,) = server.taken
    assert set(document(value)) >= {"version", "processes", "collector", "host"}
    assert server.requests == 1


def test_agent_config(program: str, server: Recorder, tmp_path: Path) -> None:
    """Server, host name and the rest come from the agent's file; each destination gets it."""
    with recording() as other:
        config = tmp_path / "agentd.conf"
        config.write_text(
            f"ServerActive=127.0.0.1:1;{server.address},{other.address}\n"
            "Hostname=web 1\nTimeout=3\n"
        )
        answer = send(program, "--agent-config", str(config))
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.splitlines() == [
            f"127.0.0.1:1;{server.address}: sent 1, failed 0",
            f"{other.address}: sent 1, failed 0",
        ]
        documents = [document(value) for each in (server, other) for value in each.taken]
        assert len(documents) == 2
        assert documents[0] == documents[1]


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        (Mood.REFUSE, "sent 0, failed 1, 1 waiting: the server refused it"),
        (Mood.FAIL, "sent 0, failed 0, 1 waiting: Warning: incorrect answer from "),
        (Mood.HALF, "sent 0, failed 0, 1 waiting: "),
        (Mood.RESET, "sent 0, failed 0, 1 waiting: "),
        (Mood.SILENT, "sent 0, failed 0, 1 waiting: "),
        (Mood.RUBBISH, "sent 0, failed 0, 1 waiting: "),
    ],
)
def test_misbehaving_server(
    program: str, server: Recorder, tmp_path: Path, mood: Mood, said: str
) -> None:
    """Whatever it does short of taking the document, it waits, and goes when that is over."""
    to = ("--server", server.address, "--host", "web 1", "--spool", str(tmp_path / "s.sqlite"))
    server.mood = mood
    answer = send(program, *to, "--send-timeout", "1")
    assert answer.returncode == 1
    assert answer.stdout == ""
    first, second, *rest = answer.stderr.splitlines()
    assert first.startswith(f"{server.address}: {said}")
    assert second == (
        "zabbix-sockets: not delivered everywhere; what is waiting goes first next time"
    )
    assert not rest
    server.taken.clear()  # half an answer is none: it comes again, with the same time
    server.mood = Mood.TAKE
    answer = send(program, *to)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == f"{server.address}: sent 2, failed 0\n"
    clocks = [(value["clock"], value["ns"]) for value in server.taken]
    assert len(clocks) == 2
    assert clocks == sorted(clocks)


def test_server_that_is_down(program: str, tmp_path: Path) -> None:
    """The reason is said; without a spool the document is lost, and that is said too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    to = ("--server", "127.0.0.1", "--port", str(port), "--host", "h")
    answer = send(program, *to, "--spool", str(tmp_path / "s.sqlite"))
    assert answer.returncode == 1
    assert "1 waiting: " in answer.stderr
    assert "onnect" in answer.stderr
    answer = send(program, *to)
    assert "lost: there is no spool" in answer.stderr


def test_no_sender(tmp_path: Path, server: Recorder) -> None:
    """The message names the package; the document waits."""
    to = ("--server", server.address, "--host", "h", "--spool", str(tmp_path / "s.sqlite"))
    answer = send("/nonexistent/zabbix_sender", *to)
    assert answer.returncode == 1
    assert "there is no zabbix_sender" in answer.stderr


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
NAMES = TEXT.filter(lambda text: bool(text) and text != "-")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(NAMES, NAMES, st.integers(0, 2**31 - 1), TEXT), min_size=1, max_size=20))
def test_nothing_is_forged(
    program: str, server: Recorder, rows: list[tuple[str, str, int, str]]
) -> None:
    """No name and no value makes another line, host, key or time: all arrive as they were."""
    values = [Value(host, key, clock, clock % 10**9, text) for host, key, clock, text in rows]
    server.taken.clear()
    try:
        outcome = push(Sender(program=program), server.address, values, 10)
    except SocketsError:
        assert not server.taken
        return
    assert outcome == Outcome(len(values), 0)
    arrived = [
        Value(each["host"], each["key"], each["clock"], each["ns"], each["value"])
        for each in server.taken
    ]
    assert arrived == values


@pytest.fixture
def service(program: str, tmp_path: Path) -> Iterator[Any]:
    """Start send --interval 1 with a spool; all that were started end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(address: str, *arguments: str) -> subprocess.Popen[bytes]:
        spool = ("--spool", str(tmp_path / "s.sqlite"))
        how = ("--netns", "own", "--source", "sock_diag", "--interval", "1", "--host", "web 1")
        line = command(program, *how, *spool, "--send-timeout", "1", "--server", address)
        process = subprocess.Popen([*line, *arguments], stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def test_service(server: Recorder, service: Any) -> None:
    """It pushes at each interval, never more often, and ends cleanly at SIGTERM."""
    process = service(server.address)
    wait_for(lambda: len(server.taken) >= 4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(BUSY_SECONDS) == 0
    moments = [value["clock"] + value["ns"] / 1e9 for value in server.taken]
    for earlier, later in itertools.combinations(range(len(moments)), 2):
        intervals = moments[later] - moments[earlier]  # of a second; the earlier may be late
        assert later - earlier <= intervals + 1, moments


def test_service_through_an_outage(service: Any, tmp_path: Path) -> None:
    """What the server missed comes when it is back, in order, none lost and none twice."""
    spool = tmp_path / "s.sqlite"
    with recording() as before:
        process = service(before.address)
        wait_for(lambda: len(before.taken) >= 2)
        port = before.listener.getsockname()[1]
    time.sleep(4)
    with recording(port) as after:
        wait_for(lambda: len(after.taken) >= 6)
        wait_for(lambda: waiting(spool, after.address) <= 1)  # the one that is on its way
        process.send_signal(signal.SIGTERM)
        assert process.wait(BUSY_SECONDS) == 0
        moments = [(value["clock"], value["ns"]) for value in before.taken + after.taken]
        assert moments == sorted(set(moments))
        assert len(moments) + waiting(spool, after.address) == ever_in(spool)
        spooled = [document(value)["collector"]["spool"] for value in after.taken]
        assert max(each["waiting"] for each in spooled) >= 2
        assert {each["dropped"] for each in spooled} == {0}


def ever_in(spool: Path) -> int:
    """Return how many documents have been in the spool, through which each one goes."""
    with closing(sqlite3.connect(spool)) as database:
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'waiting'"
        (number,) = database.execute(query).fetchone()
    return int(number)
