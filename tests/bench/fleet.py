"""Measures a fleet that pushes documents through one real proxy to one server; see README.md."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

ROOT = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "tests" / "support")]  # as pytest has them

# ruff: noqa: E402
import psutil

from tests.bench.isolate import run_isolated
from tests.zabbix import programs, proxies
from tests.zabbix.proxies import Proxy
from tests.zabbix.pushing import sender, with_sender
from tests.zabbix.servers import SERVER_VERSIONS, Server, Servers
from zabbix_sockets.readers.bpf.pins import load, unload
from zabbix_sockets.sending import schedule
from zabbix_sockets.sending.contents import MASTER_KEY
from zabbix_sockets.sending.lines import Value, encode_line
from zabbix_sockets.sending.transport import Sender, parse_answer

_TRAPPER, _TEXT = 2, 4
_BATCH = 250
_TIMEOUT_SECONDS = 30
_IDLE_SECONDS = 10
_PATIENCE_SECONDS = 120
_CALLS = 10
_SERVICE_SECONDS = 20

# Whatever is stored gets the time at which it was: the server names its own columns.
_STAMPED = "ALTER TABLE history_text ADD COLUMN arrived double precision DEFAULT {}"
_NOW = "extract(epoch from clock_timestamp())"


@dataclass(frozen=True, slots=True)
class Pushed:
    """One call of zabbix_sender."""

    clock: float
    """Of its document."""
    end: float
    processed: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """All hosts, once each."""

    name: str
    pushed: list[Pushed]
    arrived: list[tuple[float, float]]
    """Of each document that the server has stored: its clock, and when that was."""
    proxy_seconds: float
    server_seconds: float

    def row(self) -> str:
        """Return the line of the table."""
        hosts = len(self.pushed)
        delays = sorted(stored - clock for clock, stored in self.arrived)
        cuts = quantiles(delays, n=100, method="inclusive")
        took = max(each.end for each in self.pushed) - min(each.clock for each in self.pushed)
        cells = [
            self.name,
            f"{hosts:,}",
            f"{took:.1f}",
            f"{sum(each.processed for each in self.pushed):,}",
            f"{len(delays):,}",
            *(f"{1000 * cuts[percent - 1]:,.0f}" for percent in (50, 95, 99)),
            f"{1000 * delays[-1]:,.0f}",
            f"{self._most_on_their_way():,}",
            *(
                f"{1000 * seconds / hosts:.1f}"
                for seconds in (
                    sum(each.cpu_seconds for each in self.pushed),
                    self.proxy_seconds,
                    self.server_seconds,
                )
            ),
        ]
        return f"| {' | '.join(cells)} |"

    def _most_on_their_way(self) -> int:
        """Return how many documents at most the proxy had taken and the server not stored."""
        changes = [(each.end, each.processed) for each in self.pushed]
        changes += [(stored, -1) for _, stored in self.arrived]
        level = most = 0
        for _, change in sorted(changes):
            level += change
            most = max(most, level)
        return most


TITLE = (
    "| hosts push | hosts | took s | accepted | stored | delay ms p50 | p95 | p99 | max"
    " | most on their way | sender CPU ms/host | proxy | server |\n" + "|---" * 13 + "|"
)


class Fleet:
    """Hosts of one proxy, each with an item for its documents."""

    def __init__(self, proxy: Proxy, hosts: int, workers: int, document: str) -> None:
        self._proxy = proxy
        self._workers = workers
        self._document = document
        self._names = [f"fleet {number}" for number in range(hosts)]
        self._sender = Sender(program=str(sender(proxy.server.version)))
        server = proxy.server
        (groupid,) = server.api.hostgroup.create(name="fleet")["groupids"]
        for at in range(0, hosts, _BATCH):
            names = self._names[at : at + _BATCH]
            made = [
                {"host": name, "groups": [{"groupid": groupid}], **proxy.assignment}
                for name in names
            ]
            what = {"key_": MASTER_KEY, "name": "all", "type": _TRAPPER, "value_type": _TEXT}
            hostids = server.api.host.create(*made)["hostids"]
            server.api.item.create(*(what | {"hostid": hostid} for hostid in hostids))
        server.sql(_STAMPED.format(_NOW))
        proxy.reload()
        time.sleep(_IDLE_SECONDS)  # for what a new configuration still makes them do

    def run(self, name: str, interval: float) -> Round:
        """Let each host push once: at its own moment of the *interval*, or all as one for 0."""
        idle = self._idle()
        server = self._proxy.server
        began, before = time.monotonic(), self._cpu()
        first = time.time()
        due = sorted((schedule.offset(host, interval), host) for host in self._names)
        with ThreadPoolExecutor(self._workers) as pool:
            futures = []
            for moment, host in due:
                time.sleep(max(0.0, first + moment - time.time()))
                args = self._sender, self._proxy.port, host, self._document
                futures.append(pool.submit(push, *args))
            pushed = [future.result() for future in futures]
        query = (
            f"SELECT clock + ns / 1e9 AS clock, arrived FROM history_text WHERE arrived > {first}"
        )
        accepted = sum(each.processed for each in pushed)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while len(rows := server.sql(query)) < accepted and time.monotonic() < deadline:
            time.sleep(1)
        time.sleep(1)  # for what they do when it is stored
        seconds = time.monotonic() - began
        spent = [
            after - then - rate * seconds
            for after, then, rate in zip(self._cpu(), before, idle, strict=True)
        ]
        arrived = [(float(row["clock"]), float(row["arrived"])) for row in rows]
        return Round(name, pushed, arrived, *spent)

    def _cpu(self) -> tuple[float, float]:
        return self._proxy.program.cpu_seconds(), self._proxy.server.cpu_seconds()

    def _idle(self) -> list[float]:
        """Return what proxy and server use of a processor without any documents."""
        before = self._cpu()
        time.sleep(_IDLE_SECONDS)
        return [
            (after - then) / _IDLE_SECONDS for after, then in zip(self._cpu(), before, strict=True)
        ]


def push(sender: Sender, port: int, host: str, document: str) -> Pushed:
    """Push a document of now by a zabbix_sender of its own."""
    clock, ns = divmod(time.time_ns(), 10**9)
    with tempfile.TemporaryFile() as lines, tempfile.TemporaryFile() as said:
        lines.write(encode_line(Value(host, MASTER_KEY, clock, ns, document)))
        lines.seek(0)
        command = sender.command(f"127.0.0.1:{port}", _TIMEOUT_SECONDS)
        process = subprocess.Popen(command, stdin=lines, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        outcome = parse_answer(said.read().decode(), 1, "no answer")
    cpu = usage.ru_utime + usage.ru_stime
    return Pushed(clock + ns / 1e9, time.time(), outcome.processed, cpu)


def _collector(version: str, address: str, pins: str) -> Iterator[str]:
    """Yield what making and sending a document costs a host, by a call and by a service."""
    base = [sys.executable, "-I", "-m", "zabbix_sockets"]
    to = ["send", "--server", address, "--host", "fleet 0", "--pins", pins]
    for name, command in (("get", ["get", "--pins", pins]), ("send", to)):
        seconds = []
        for _ in range(_CALLS):
            line = with_sender(version, [*base, *command])
            process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            seconds.append(usage.ru_utime + usage.ru_stime)
        yield f"a call of `{name}`: {1000 * sorted(seconds)[_CALLS // 2]:.0f} ms of CPU"
    with tempfile.TemporaryDirectory() as folder:
        spool = ["--spool", f"{folder}/spool", "--interval", "1"]
        with subprocess.Popen(with_sender(version, [*base, *to, *spool])) as process:
            time.sleep(3)  # its first push is over
            running = psutil.Process(process.pid)
            before = sum(running.cpu_times()[:4])
            time.sleep(_SERVICE_SECONDS)
            spent = (sum(running.cpu_times()[:4]) - before) / _SERVICE_SECONDS
            peak = running.memory_info().rss / 1e6
            process.terminate()
    yield f"a push of `send --interval`: {1000 * spent:.0f} ms of CPU; resident: {peak:.0f} MB"


def _measure(server: Server, proxy: Proxy, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as pins:
        load(pins)
        try:
            made = [sys.executable, "-m", "zabbix_sockets", "get", "--pins", pins]
            document = subprocess.check_output(made, text=True).rstrip("\n")
            fleet = Fleet(proxy, options.hosts, options.workers, document)
            size = f"{len(document.encode()):,} bytes"
            print(f"Zabbix {server.version}, documents of {size}, {options.workers} at a time\n")
            print(TITLE)
            spread = f"spread over {options.interval} s"
            for name, interval in ((spread, options.interval), ("at once", 0.0)):
                print(fleet.run(name, interval).row(), flush=True)
            print()
            for line in _collector(server.version, f"127.0.0.1:{proxy.port}", pins):
                print(line, flush=True)
        finally:
            unload(pins)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table; in namespaces of its own, where nobody else's sockets are."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--version", choices=SERVER_VERSIONS, default=SERVER_VERSIONS[-1], help="of all of Zabbix")
    add("--hosts", type=int, default=1000)
    add("--interval", type=float, default=60.0, help="seconds that they are spread over")
    add("--workers", type=int, default=50, help="zabbix_senders at a time, at most")
    options = parser.parse_args(arguments)
    raise SystemExit(run_isolated(lambda: _run(options)))


def _run(options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        lab = stack.enter_context(programs.directory())
        servers = Servers(lab)
        stack.callback(servers.stop)
        server = stack.enter_context(servers.fresh(options.version))
        proxy = stack.enter_context(proxies.running(server, lab))
        _measure(server, proxy, options)
    return 0


if __name__ == "__main__":
    main()
