"""Measures hosts with the whole template, pushing to or polled by real servers and proxies.

    python tests/bench/fleet_hosts.py [--hosts 1000] [--interval 60] [--way push|poll]
        [--proxies 0|1|3]

Needs root and what tests/requirements.sh unpacks; runs in namespaces of its own. README.md says
what is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "tests" / "support")]  # as pytest has them

# ruff: noqa: E402
import psutil

from tests.bench.clones import begin_ids, copy_host, counts
from tests.bench.fleet import push
from tests.bench.fleet_pushes import (
    ALWAYS_CHANGES,
    Accepted,
    Pushes,
    count_lacking,
    count_stored,
    find_missing,
    size_of_history,
    told_of_killed,
)
from tests.bench.isolate import run_isolated
from tests.zabbix import programs, proxies, templates
from tests.zabbix.agents import Kind, free_port
from tests.zabbix.alarms.replay import server_stats
from tests.zabbix.alarms.test_volume import ordinary
from tests.zabbix.documents import encoded
from tests.zabbix.outages import Receiver, receiving
from tests.zabbix.programs import Program, listens, wait_for
from tests.zabbix.proxies import Proxy
from tests.zabbix.pushing import sender
from tests.zabbix.servers import SERVER_VERSIONS, Server, Servers
from zabbix_sockets.sending import schedule
from zabbix_sockets.sending.transport import Sender

_RETRY_SECONDS = 2.0
_PATIENCE_SECONDS = 900.0
"""For what proxies need to take the configuration of a thousand hosts."""
_SETTLED_SECONDS = 10.0
_BUSIEST = 3
_MOST_TRIES = 600

_SERVER = {
    "HistoryCacheSize": "256M",
    "HistoryIndexCacheSize": "128M",
    "TrendCacheSize": "512M",
    "ValueCacheSize": "1G",
    "StartDBSyncers": 4,
    "StartPollers": 10,
    "StartTrappers": 10,
    "CacheUpdateFrequency": 10,  # its default
}
_PROXY = {
    "HistoryCacheSize": "256M",
    "HistoryIndexCacheSize": "64M",
    "StartTrappers": 10,
    "StartPollers": 10,
    "ProxyConfigFrequency": 20,
    "ProxyLocalBuffer": 1,
}


class Load:
    """What a server, its proxies and its database use, and how long their queues are at most."""

    def __init__(self, receiver: Receiver, between: Sequence[Proxy]) -> None:
        self._receiver = receiver
        self._between = between
        self.queue = 0
        self.began = time.monotonic()
        self.before = self._seconds()
        self.before_each = _seconds_of_each(receiver.program)

    def _seconds(self) -> list[float]:
        database = self._receiver.server.database.cluster.program
        alive = [each.program for each in self._between if each.program.process.poll() is None]
        return [
            self._receiver.program.cpu_seconds(),
            sum(each.cpu_seconds() for each in alive),
            database.cpu_seconds(),
        ]

    def look(self) -> None:
        """Note how many values wait to be preprocessed."""
        stats = server_stats(self._receiver.port)
        self.queue = max(self.queue, stats["preprocessing_queue"])

    def cores(self) -> list[float]:
        """Return how many processors server, proxies and database have kept busy on average."""
        seconds = time.monotonic() - self.began
        return [
            (after - before) / seconds
            for after, before in zip(self._seconds(), self.before, strict=True)
        ]

    def busiest(self) -> str:
        """Return which of the server's processes have kept a processor busy most, and how much."""
        seconds = time.monotonic() - self.began
        cores = {
            name: (after - self.before_each.get(name, 0.0)) / seconds
            for name, after in _seconds_of_each(self._receiver.program).items()
        }
        first = sorted(cores.items(), key=lambda each: -each[1])[:_BUSIEST]
        return ", ".join(f"{name} {share:.2f}" for name, share in first)


class Agent:
    """An agent that answers for all hosts with the same document."""

    def __init__(self, version: str, folder: Path) -> None:
        self.port = free_port()
        self._document = folder / "document"
        self._folder = folder
        self._version = version
        self.tell("{}")

    def tell(self, document: str) -> None:
        """Answer with this one from now on."""
        new = self._document.with_suffix(".new")
        new.write_text(document)
        new.rename(self._document)

    @contextmanager
    def running(self) -> Iterator[Program]:
        """Run it."""
        lines = {
            "Server": "127.0.0.1",
            "ListenIP": "127.0.0.1",
            "ListenPort": self.port,
            "LogType": "console",
            "PidFile": self._folder / "agent.pid",
            "StartAgents": 10,
            "UserParameter": f"sockets.get[*],cat {self._document}",
        }
        configuration = self._folder / "agentd.conf"
        configuration.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        program = str(Kind("zabbix_agentd", self._version).path("zabbix_agentd"))
        command = [program, "--config", str(configuration), "--foreground"]
        started = programs.start(command, self._folder / "agent.log")
        try:
            started.wait(lambda: listens(self.port))
            yield started
        finally:
            started.stop()


class Fleet:
    """Hosts, each a copy of one on which all has been discovered."""

    def __init__(self, options: argparse.Namespace, receiver: Receiver, folder: Path) -> None:
        self._options = options
        self._receiver = receiver
        self._agent = Agent(options.version, folder) if options.way == "poll" else None
        self._documents = [
            encoded(each) for _, each in ordinary(range(-3, options.documents + options.warm_up))
        ]
        self._names = [f"fleet {number}" for number in range(1, options.hosts + 1)]
        self._ports = [receiver.port]

    def measure(self, stack: ExitStack, lab: Path) -> None:
        """Make the hosts, let them be for some intervals, and print what that took."""
        server = self._receiver.server
        polled = stack.enter_context(self._agent.running()) if self._agent else None
        between = [
            stack.enter_context(
                proxies.running(server, lab, **_PROXY, **_cache(self._options.hosts))
            )
            for _ in range(self._options.proxies)
        ]
        if between:
            self._ports = [each.port for each in between]
        assigned = _assigned(server, between, self._options.failover)
        first = self._discovered()
        self._receiver.program.end()
        copy_host(server.database, first, self._options.hosts)
        server.sql(f"UPDATE hosts SET status = 1 WHERE hostid = {first}")
        changes = ", ".join(f"{name} = {value}" for name, value in assigned.items())
        if changes:
            server.sql(f"UPDATE hosts SET {changes} WHERE host LIKE 'fleet %' AND status = 0")
        began = time.monotonic()
        self._receiver.start()
        sizes = {name: f"{count:,}" for name, count in counts(server.database).items()}
        print(f"{sizes}; the server has read them in {time.monotonic() - began:.0f} s", flush=True)
        for each in between:
            each.reload()
        self._warm_up(settle=len(between) > 1)
        rows, size = count_stored(server), size_of_history(server)
        pushes, load = Pushes(), Load(self._receiver, between)
        since = time.time()
        measured = range(self._options.warm_up, self._options.warm_up + self._options.documents)
        self._intervals(measured, pushes, load, between if len(between) > 1 else ())
        cores, busiest = load.cores(), load.busiest()
        cache = server_stats(self._receiver.port)["rcache"]
        if polled:  # it would answer for ever
            polled.stop()
        self._drain()
        if pushes.victim:
            lost = count_lacking(server, since, self._options.hosts, self._options.documents)
            print(f"lost before the proxy came back that was killed: {lost:,}", flush=True)
            stack.callback(pushes.victim.start_again().stop)
            self._drain()
        grown = count_stored(server) - rows, size_of_history(server) - size
        self._tell(pushes, load, (cores, busiest, cache), since, grown)

    def _discovered(self) -> str:
        """Return the id of a host on which all was discovered, with the server's template."""
        server = self._receiver.server
        begin_ids(server.database)
        way = "agent" if self._agent else "trapper"
        template = templates.template(server, way)
        port = self._agent.port if self._agent else None
        interval = {"macro": "{$SOCKETS.INTERVAL}", "value": str(self._options.interval)}
        macros = [interval] if self._agent else []
        host = server.create_host("first", agent=port, templates=[template], macros=macros)
        server.reload()
        seconds = self._options.interval
        now = time.time() - 3 * seconds
        if self._agent:
            self._agent.tell(self._documents[0])
        else:
            rows = [
                (host.name, "sockets.get", each, now + seconds * at)
                for at, each in enumerate(self._documents[:2])
            ]
            assert server.send(rows) == (2, 0)
        before = 0

        def is_all_there() -> bool:
            nonlocal before
            found = int(
                server.sql(f"SELECT count(*) FROM items WHERE hostid = {host.hostid}")[0]["count"]
            )
            is_same, before = found == before and found > 500, found
            return is_same

        wait_for(is_all_there, lambda: before, pause=15)
        return host.hostid

    def _warm_up(self, *, settle: bool) -> None:
        """Let the hosts be for some intervals; *settle*: until nothing of one is lost.

        A group of proxies shares the hosts out when it has come together, and once more when each
        of its proxies is there, and a proxy whose new hosts are many is busy with them for minutes.
        """
        server, options = self._receiver.server, self._options
        began = time.monotonic()
        while True:
            pushes = Pushes()
            self._intervals(range(options.warm_up), pushes, None)
            self._drain()
            lost = len(find_missing(server, pushes.accepted))
            print(f"warm-up: {time.monotonic() - began:.0f} s, {lost:,} lost", flush=True)
            if not (lost and settle):
                return
            assert time.monotonic() < began + 2 * _PATIENCE_SECONDS, "the group does not settle"

    def _intervals(
        self, numbers: range, pushes: Pushes, load: Load | None, group: Sequence[Proxy] = ()
    ) -> None:
        """Let each host push the documents of these numbers, at its own moment, or be polled.

        In the middle the proxy of *group* is killed that has most hosts.
        """
        began = time.time()
        for at, number in enumerate(numbers):
            document = self._documents[number + 3]
            if group and at == len(numbers) // 2:
                pushes.kill(self._receiver.server, group)
            begin = began + self._options.interval * at
            if self._agent:
                self._agent.tell(document)
                time.sleep(max(0.0, begin + self._options.interval - time.time()))
                if load:
                    load.look()
                continue
            self._push_all(begin, document, pushes, load)

    def _push_all(self, begin: float, document: str, pushes: Pushes, load: Load | None) -> None:
        program = Sender(program=str(sender(self._options.version)))
        interval = self._options.interval
        due = sorted((schedule.offset(host, interval), host) for host in self._names)
        with ThreadPoolExecutor(self._options.workers) as pool:
            futures = []
            for number, (moment, host) in enumerate(due):
                time.sleep(max(0.0, begin + moment - time.time()))
                if load and number % 100 == 0:
                    load.look()
                futures.append(pool.submit(self._push, program, number, host, document, pushes))
            for future in futures:
                future.result()

    def _push(self, program: Sender, number: int, host: str, document: str, pushes: Pushes) -> None:
        """Push until it is accepted, by another proxy if one doesn't answer."""
        began = time.time()
        for tries in range(1, _MOST_TRIES):
            port = self._ports[(number + tries) % len(self._ports)]
            pushed = push(program, port, host, document)
            if pushed.processed == 1:
                pushes.accepted.append(Accepted(host, began, pushed.clock, pushed.end, tries))
                return
            time.sleep(_RETRY_SECONDS)

    def _drain(self) -> None:
        """Wait until no more values come into the database."""
        server = self._receiver.server
        before, since = -1, time.monotonic()
        while time.monotonic() < since + _SETTLED_SECONDS:
            stored = count_stored(server)
            if stored != before:
                before, since = stored, time.monotonic()
            time.sleep(2)

    def _tell(
        self,
        pushes: Pushes,
        load: Load,
        busy: tuple[Sequence[float], str, Mapping[str, int]],
        since: float,
        grown: tuple[int, int],
    ) -> None:
        options, server = self._options, self._receiver.server
        seconds = options.documents * options.interval
        host_hours = options.hosts * seconds / 3600
        rows, size = grown
        cores, busiest, cache = busy
        lost = count_lacking(server, since, options.hosts, options.documents)
        told = {
            "documents accepted": f"{len(pushes.accepted):,} ({pushes.again():,} not at the first"
            f" try), after {pushes.late():.1f} s at most",
            "values": f"{rows:,}, {rows / seconds:,.0f} a second",
            f"lacking of {ALWAYS_CHANGES}": f"{lost:,} of {options.hosts * options.documents:,}"
            + (", late polls among them" if options.way == "poll" else ""),
            **told_of_killed(server, pushes),
            "longest queue of preprocessing": f"{load.queue:,}",
            "processors": f"server {cores[0]:.2f}, proxies {cores[1]:.2f}, database {cores[2]:.2f}",
            "busiest processes of the server": busiest,
            "configuration cache": f"{(cache['total'] - cache['free']) / 1e6:,.0f} MB",
            "a host and hour": f"{rows / host_hours:,.0f} rows, {size / host_hours / 1e6:.2f} MB",
        }
        every = f"every {options.interval} seconds"
        print(f"{options.hosts} hosts, {options.way} {every}, {options.proxies} proxies")
        for name, figure in told.items():
            print(f"  {name}: {figure}", flush=True)


def _seconds_of_each(program: Program) -> dict[str, float]:
    """Return the processor's seconds of each of a server's processes, by what it calls itself."""
    found = {}
    for process in psutil.Process(program.process.pid).children(recursive=True):
        title = " ".join(process.cmdline()).partition(": ")[2].partition(" [")[0]
        found[title or str(process.pid)] = sum(process.cpu_times()[:2])
    return found


def _cache(hosts: int) -> dict[str, str]:
    """Return the setting that makes room for the configuration of so many hosts."""
    return {"CacheSize": f"{128 + 4 * hosts}M"}


def _assigned(server: Server, between: Sequence[Proxy], failover: str) -> dict[str, int]:
    """Return what makes a host one of the proxy's, or of the group of several."""
    if not between:
        return {}
    if len(between) == 1:
        return {"monitored_by": 1, "proxyid": int(between[0].proxyid)}
    created = server.api.proxygroup.create(name="fleet", failover_delay=failover, min_online="1")
    (group,) = created["proxy_groupids"]
    for each in between:
        place = {"local_address": "127.0.0.1", "local_port": str(each.port)}
        server.api.proxy.update(proxyid=each.proxyid, proxy_groupid=group, **place)
    return {"monitored_by": 2, "proxy_groupid": int(group)}


def _run(options: argparse.Namespace) -> int:
    programs.PATIENCE_SECONDS = _PATIENCE_SECONDS
    with ExitStack() as stack:
        lab = stack.enter_context(programs.directory())
        servers = Servers(lab)
        stack.callback(servers.stop)
        settings = {**_SERVER, **_cache(options.hosts)}
        receiver = stack.enter_context(receiving(servers, options.version, **settings))
        Fleet(options, receiver, lab).measure(stack, lab)
    return 0


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--version", choices=SERVER_VERSIONS, default=SERVER_VERSIONS[-1], help="of all of Zabbix")
    add("--hosts", type=int, default=1000)
    add("--way", choices=("push", "poll"), default="push")
    add("--proxies", type=int, default=0, help="of a group if there are several")
    add("--failover", default="3m", help="period after which a group does without a silent proxy")
    add("--interval", type=int, default=60, help="seconds from one document of a host to the next")
    add("--documents", type=int, default=10, help="of each host, that are measured")
    add("--warm-up", type=int, default=2, help="documents before them")
    add("--workers", type=int, default=400, help="zabbix_senders at a time, at most")
    options = parser.parse_args()
    return run_isolated(lambda: _run(options))


if __name__ == "__main__":
    sys.exit(main())
