"""Sockets and processes that come, go and wander all the time, and agents that do.

Beside it is a service whose sockets are known. The agent's user asks, has an answer in time
whatever happens, and is told right about everybody else. What the calls took is printed.
"""

from __future__ import annotations

import array
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import asked
import pytest
import witness
import zoo
from asked import PROPERTY, Asker, Figure
from children import Child, set_comm

pytestmark = pytest.mark.usefixtures("service")

Ask = Callable[..., asked.Answer]
Record = Callable[[str, object], None]
"""pytest's `record_property`."""


def open_and_close() -> object:
    """Open and close sockets as fast as it goes, in a process of its own."""
    asked.become_hostile()
    if not os.fork():
        asked.end_with_parent()
        while True:
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                sock.listen(1)
    return None


def fork_all_the_time() -> object:
    """Have processes with a listener that live for a moment, begun by a process of its own."""
    asked.become_hostile()
    zoo.listener(port=7370)
    if not os.fork():
        asked.end_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        number = 0
        while True:
            number += 1
            set_comm(b"forks%d" % number)
            if not os.fork():
                os._exit(0)
    return None


PASSED = 200


def pass_round() -> object:
    """Pass PASSED listeners from process to process (SCM_RIGHTS), which keep none of them."""
    asked.become_hostile()
    ways = [socket.socketpair(socket.AF_UNIX) for _ in range(3)]
    for at in range(3):
        if not os.fork():
            asked.end_with_parent()
            pass_on(ways[at][1], ways[(at + 1) % 3][0])
    for number in range(PASSED):
        with socket.create_server(("127.0.0.3", 10_000 + number)) as server:
            send(ways[number % 3][0], server.fileno())
    return ways


def send(way: socket.socket, fd: int) -> None:
    """Send a descriptor."""
    rights = array.array("i", [fd])
    way.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass on each descriptor that comes, for ever."""
    while True:
        _, received, _, _ = source.recvmsg(1, socket.CMSG_SPACE(4))
        for _, _, data in received:
            (fd,) = array.array("i", data)
            send(target, fd)
            os.close(fd)


@pytest.mark.short_form
@pytest.mark.parametrize("work", [open_and_close, fork_all_the_time, pass_round])
def test_what_never_rests(answers: Ask, work: Callable[[], object]) -> None:
    """Sockets and processes that come, go and wander: the service never flickers."""
    with Child(work, b"restless"):
        answers()


def test_passed_round_are_all_there(asker: Asker) -> None:
    """Each listener that wanders has a row or is summed with those left out, whoever has it."""
    with Child(pass_round, b"restless"):
        document = asker.ask("bpf", "get", "--timeout", "50").document
    listeners = [row for row in document["listeners"] if row.get("address") == "127.0.0.3"]
    assert len(listeners) == PASSED
    assert document["host"]["tcp"]["listen"] == PASSED + 2
    assert document["collector"]["unowned"] <= PASSED


CALLS = 200


@pytest.mark.short_form
@pytest.mark.parametrize("alike", [True, False], ids=["one question", "many questions"])
def test_calls_at_once(asker: Asker, record_property: Record, *, alike: bool) -> None:
    """200 at a time: each has an answer or one line that says why not, and nothing is left."""
    waiting = []
    for number in range(CALLS):
        question = ("get",) if alike else ("count", f"x{number}")
        waiting.append(asker.start(asker.words("bpf", *question)))
    found = [wait() for wait in waiting]
    again = asker.ask("bpf", "get", "--timeout", "50")
    scenario = f"{CALLS} calls with {'one question' if alike else 'a question each'}"
    record_property(PROPERTY, Figure(scenario, [*found, again]))
    assert all(each.peak_kb < 1 << 15 for each in found)
    assert again.kind == "whole"
    assert witness.is_right_in(again)
    assert not asker.left()


KILLS = 12


@pytest.mark.short_form
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_killed_agent(asker: Asker, how: signal.Signals) -> None:
    """An agent that is killed during a call, at whatever moment, leaves neither process nor lock.

    What it has started goes on for the time that a call may take, and no longer.
    """
    for number in range(KILLS):
        words = asker.words("bpf", "get")
        with subprocess.Popen(["sh", "-c", '"$@"; true', "sh", *words], stdout=-1) as agent:
            time.sleep(number * 0.02)
            agent.send_signal(how)
        last = time.monotonic() + LONGEST
        zoo.wait_for(lambda: not asker.left(), "the end of what the agent has started")
        assert time.monotonic() < last
        again = asker.ask("bpf", "get", "--timeout", "50")
        assert again.kind == "whole"
        assert witness.is_right_in(again)


LONGEST = 10.0
"""Seconds for what takes 2.7 s, as starting takes longer on a busy machine."""
