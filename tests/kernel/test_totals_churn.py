"""Totals while much else goes on: exact over loopback, and nearly so where softirqs interrupt."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
import rounds
import traffic_zoo
from children import Child, set_comm
from counted import (
    WITHOUT_SOFTIRQS,
    Found,
    assert_comes_to,
    assert_has_room,
    bounded,
    changed,
    fail,
    loaded,
    look,
    read,
    read_all,
    risen,
    without_exchange,
)
from netns import inside, ip, named, path_of
from traffic_zoo import Expected, Sums

from zabbix_sockets.readers.bpf.pins import load

pytestmark = [pytest.mark.rounds, pytest.mark.usefixtures("pins")]

WORKERS = 2
PAYLOAD = 700


def assert_none_falls(before: Found, after: Found) -> None:
    """What was counted once stays counted."""
    for then, now in zip(before, after, strict=True):
        for key, counters in then.items():
            assert not counters - now.get(key, Counter()), key


class Readers:
    """Threads that read all totals again and again, and note what none of them may see."""

    def __init__(self, folder: str, number: int = 2) -> None:
        self._folder = folder
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._read_on) for _ in range(number)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self._failures, self._failures

    def _read_on(self) -> None:
        try:
            since, before = read_all(self._folder).since, read(self._folder)
            while not self._stop.is_set():
                look(self._folder)
                after, now = read(self._folder), read_all(self._folder).since
                if now == since:
                    assert_none_falls(before, after)
                since, before = now, read(self._folder)
                if read_all(self._folder).since != since:
                    before = ({}, {}, {})
        except BaseException as error:  # noqa: BLE001  # told when the test is over
            self._failures.append(error)


def churn() -> None:
    """Open and close connections for ever, all to one listener.

    With one for each few there would soon be more upstreams than there is room for, and those that
    a test compares would be pushed out.
    """
    server, _ = traffic_zoo.listener()
    for number in itertools.count():
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        traffic_zoo.carry(client, accepted)
        first, second = (client, accepted) if number % 2 else (accepted, client)
        if number % 3 == 0:
            traffic_zoo.close_by_reset(first)
        elif number % 3 == 1:
            first.shutdown(socket.SHUT_WR)
            second.recv(1)
        first.close()
        second.close()


SLOTS = pytest.mark.parametrize(
    "slots", [{}, {"SLOT_BITS": 2}], ids=["usual slots", "hardly any slots"]
)
"""Memory of connections, of which most find their slot free, or taken: these go into the map."""


@pytest.mark.parametrize(
    "how",
    [loaded, partial(bounded, SLOT_BITS=2), without_exchange],
    ids=["usual slots", "hardly any slots", "without exchange"],
)
@pytest.mark.short_form("usual slots")
def test_exact_beside_others_and_over_a_reload(
    how: Callable[[], AbstractContextManager[str]],
) -> None:
    """Rounds of connections are counted exactly while others come and go, and two readers read.

    In the middle the programs are loaded anew: from then on they count from 0. So it is where the
    kernel has no atomic exchange.
    """
    with how() as folder:
        others = [Child(lambda: threading.Thread(target=churn).start(), b"others") for _ in "12"]
        try:
            with Readers(folder):
                _do_rounds(folder, rounds.TOTALS // 2)
                load(folder, with_totals=True, warn=fail)
                _do_rounds(folder, rounds.TOTALS - rounds.TOTALS // 2)
        finally:
            for each in others:
                each.end()


def _do_rounds(folder: str, number: int) -> None:
    """Make connections, and find them all in what this process's totals rose by."""
    before, expected = _of_this(read(folder)), Expected()
    for _ in range(number):
        traffic_zoo.short_lived(expected, 4)
        traffic_zoo.reset_by_either(expected)
        traffic_zoo.refused(expected)
    assert_comes_to(folder, before, expected, only=_of_this)


def _of_this(found: Found) -> Found:
    """Return the totals without those of processes called `others`, and without listeners."""
    processes, _, upstreams = found
    mine: Sums = {comm: each for comm, each in processes.items() if comm != b"others"}
    to: Sums = {
        key: each
        for key, each in upstreams.items()
        if isinstance(key, tuple) and key[0] != b"others"
    }
    return mine, {}, to


@contextmanager
def interrupted(device: str) -> Iterator[None]:
    """Let what a device receives be handled by all processors in turn, which interrupts them."""
    everywhere = f"{(1 << (os.cpu_count() or 1)) - 1:x}"
    queue = f"/sys/class/net/{device}/queues/rx-0"
    script = f"mount -t sysfs sysfs /sys && echo {everywhere} > {queue}/rps_cpus"
    subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True)
    yield


def serve(server: socket.socket) -> None:
    """Send the payload on each connection, and take as much.

    This end speaks first. A client whose data came at once was reset now and then on Linux 6.18, it
    seems where one processor takes the data while another one still ends the handshake.
    """
    while True:
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"x" * PAYLOAD)
            accepted.recv(PAYLOAD, socket.MSG_WAITALL)
            accepted.recv(1)


def ask(address: tuple[str, int], number: int) -> None:
    """Make connections, each with the payload there and back."""
    set_comm(b"asks")
    for _ in range(number):
        with socket.create_connection(address) as client:
            client.sendall(client.recv(PAYLOAD, socket.MSG_WAITALL))


def ask_at_once(
    address: tuple[str, int],
    number: int,
    work: Callable[[tuple[str, int], int], None] = ask,
) -> None:
    """Let some processes ask at the same time, until all have done."""
    pids = []
    for _ in range(WORKERS):
        pid = os.fork()
        if not pid:
            try:
                work(address, number // WORKERS)
            except BaseException as error:  # noqa: BLE001  # a child must not run on as pytest
                os.write(2, f"child: {error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0


def listen(
    address: str, comm: bytes, answer: Callable[[socket.socket], None] = serve
) -> tuple[Child, tuple[str, int]]:
    """Return a process that answers at a free port there, and the address and port."""
    server = socket.socket()
    server.bind((address, 0))

    def work() -> object:
        server.listen(512)
        for _ in range(4):
            threading.Thread(target=answer, args=(server,), daemon=True).start()
        return server

    with server:
        return Child(work, comm), server.getsockname()


def assert_nearly(found: Counter[str], number: int, names: tuple[str, ...]) -> None:
    """None is counted twice, and at most one in a thousand is missing."""
    for name in names:
        each = PAYLOAD if name.startswith("bytes") else 1
        assert number * each * 0.999 <= found[name] <= number * each, (name, found)


OUTBOUND = "attempts", "opened", "closed", "bytes_sent", "bytes_received"
INBOUND = "accepted", "closed", "bytes_sent", "bytes_received"


def settled(folder: str, before: Found) -> Found:
    """Return by how much totals have risen when they rise no more."""
    seen = risen(before, read(folder))
    for _ in range(50):
        threading.Event().wait(0.2)
        now = risen(before, read(folder))
        if now == seen:
            break
        seen = now
    return seen


@SLOTS
@pytest.mark.short_form("hardly any slots")
def test_softirqs_by_interrupt_over_loopback(slots: dict[str, int]) -> None:
    """RPS interrupts other processors: what that keeps from being counted is made good."""
    number = rounds.INTERRUPTED
    with bounded(**slots) if slots else loaded() as folder, interrupted("lo"):
        child, address = listen("127.0.0.1", b"serves")
        try:
            before = read(folder)
            with Readers(folder, 1):
                ask_at_once(address, number)
            processes, listeners, upstreams = settled(folder, before)
        finally:
            child.end()
    name = socket.inet_aton(address[0]), address[1]
    assert_nearly(processes[b"asks"], number, OUTBOUND)
    assert_nearly(upstreams[b"asks", name], number, OUTBOUND)
    assert_nearly(processes[b"serves"], number, INBOUND)
    assert_nearly(listeners[name], number, INBOUND)


def be_refused(address: tuple[str, int], number: int) -> None:
    """Try to connect to where nobody listens, again and again."""
    set_comm(b"refused")
    for _ in range(number):
        with socket.socket() as client:
            if client.connect_ex(address) != errno.ECONNREFUSED:
                raise AssertionError("it was not refused")


def be_reset(address: tuple[str, int], number: int) -> None:
    """Open connections that the other end resets, and learn of it."""
    set_comm(b"reset")
    for _ in range(number):
        with socket.create_connection(address) as client:
            client.sendall(b"x")
            try:
                client.recv(1)
            except ConnectionResetError:
                continue
            raise AssertionError("it was not reset")


def serve_resets(server: socket.socket) -> None:
    """Reset each connection when something came."""
    while True:
        accepted, _ = server.accept()
        accepted.recv(1)
        traffic_zoo.close_by_reset(accepted)


def test_errors_by_interrupt() -> None:
    """What is refused or reset is counted as that, whatever is interrupted."""
    number = rounds.INTERRUPTED
    with loaded() as folder, interrupted("lo"):
        gone, _ = traffic_zoo.listener()
        nobody = gone.getsockname()
        gone.close()
        child, address = listen("127.0.0.1", b"resets", serve_resets)
        try:
            before = read(folder)
            with Readers(folder, 1):
                ask_at_once(nobody, number, be_refused)
                ask_at_once(address, number, be_reset)
            processes, _, upstreams = settled(folder, before)
        finally:
            child.end()
    to_nobody, to_server = ((socket.inet_aton(host), port) for host, port in (nobody, address))
    for found in processes[b"refused"], upstreams[b"refused", to_nobody]:
        assert_nearly(found, number, ("attempts", "failed"))
        assert not found["abandoned"]
    for found in processes[b"reset"], upstreams[b"reset", to_server]:
        assert_nearly(found, number, ("attempts", "opened", "closed", "resets"))


UNREUSED = 100
"""The sockets of which the kernel may not have used the memory again, a few pages on each CPU."""


def test_all_that_softirqs_bring_goes_unseen() -> None:
    """What processes do makes it good: each is opened and accepted, and closed by a later one."""
    number = rounds.INTERRUPTED
    with changed(WITHOUT_SOFTIRQS) as folder:
        child, address = listen("127.0.0.1", b"serves")
        try:
            before = read(folder)
            ask_at_once(address, number)
            processes, listeners, upstreams = settled(folder, before)
        finally:
            child.end()
    name = socket.inet_aton(address[0]), address[1]
    assert processes[b"asks"]["attempts"] == processes[b"asks"]["opened"] == number
    assert processes[b"serves"]["accepted"] == listeners[name]["accepted"] == number
    for found in (
        processes[b"asks"],
        upstreams[b"asks", name],
        processes[b"serves"],
        listeners[name],
    ):
        assert number - UNREUSED <= found["closed"] <= number
        for way in ("bytes_sent", "bytes_received"):
            assert found["closed"] * PAYLOAD <= found[way] <= number * PAYLOAD


def test_softirqs_by_interrupt_over_veth() -> None:
    """As over loopback, from one namespace to another: each counts its own end."""
    number = rounds.INTERRUPTED
    traffic_zoo.sysctl("ip_local_port_range", "1024 65535")  # each connection has its own
    with named("far"), loaded() as folder, interrupted("veth0"):
        ip("link", "set", "veth1", "netns", path_of("far"))
        with inside("far"):
            ip("address", "add", "192.0.2.2/24", "dev", "veth1")
            ip("link", "set", "veth1", "up")
            child, address = listen("192.0.2.2", b"serves")
        try:
            before = read(folder)
            with Readers(folder, 1):
                ask_at_once(address, number)
            processes, _, upstreams = settled(folder, before)
            with inside("far"):
                far, listeners, _ = settled(folder, ({}, {}, {}))
        finally:
            child.end()
    name = socket.inet_aton(address[0]), address[1]
    assert_nearly(processes[b"asks"], number, OUTBOUND)
    assert_nearly(upstreams[b"asks", name], number, OUTBOUND)
    assert_nearly(far[b"serves"], number, INBOUND)
    assert_nearly(listeners[name], number, INBOUND)


A_SECOND = 10_000
RUSH_PAYLOAD = 1024


@pytest.fixture(scope="module")
def connections() -> Iterator[str]:
    """The program of the bench that opens and closes connections over loopback, as many as told."""
    compiler = shutil.which("cc") or shutil.which("clang")
    if not compiler:
        pytest.skip("a compiler is missing")
    source = Path(__file__).parents[1] / "bench" / "connections.c"
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/connections"
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        yield program


def test_many_short_connections_a_second(connections: str) -> None:
    """10,000 a second, of a process that lives for a second: each is counted, and none twice.

    Of hundreds of thousands the kernel itself resets a few when all of their data has come.
    """
    resets_sent = traffic_zoo.tcp_counter("OutRsts")
    with loaded() as folder:
        with Readers(folder, 1):
            for _ in range(rounds.RUSH):
                until = time.monotonic() + 1
                subprocess.run([connections, str(A_SECOND)], check=True, stdout=subprocess.DEVNULL)
                time.sleep(max(0, until - time.monotonic()))
        processes, listeners, upstreams = settled(folder, ({}, {}, {}))
        assert_has_room(folder)
    number = rounds.RUSH * A_SECOND
    both = {"accepted": number, "closed": number}
    both |= dict.fromkeys(("bytes_sent", "bytes_received"), number * RUSH_PAYLOAD)
    opened = both | {"attempts": number, "opened": number}
    del opened["accepted"]
    resets_sent = traffic_zoo.tcp_counter("OutRsts") - resets_sent
    counted = sum(listeners.values(), Counter()), sum(upstreams.values(), Counter())
    assert sum(each.pop("resets", 0) for each in counted) <= resets_sent
    assert processes[b"connections"].pop("resets", 0) <= resets_sent
    assert [+each for each in counted] == [both, opened]
    assert processes[b"connections"] == Counter(both) + Counter(opened)
