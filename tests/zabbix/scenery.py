"""A made-up web server: hours of documents, as its collector would have sent them.

A shop: nginx before php-fpm and java, postgres, redis and rabbitmq behind them. Custom comes and
goes in waves. java forgets to close what one of its upstreams has closed, more and more from the
middle on; and now and then it is too busy to accept, until its queue overflows.
"""

import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from zabbix_sockets.document.processes import WORST_REMOTE_FROM
from zabbix_sockets.document.record import Record, fields_of
from zabbix_sockets.document.totals import ListenerTotals, ProcessTotals, UpstreamTotals

from .alarms.replay import KEY, settle
from .documents import Row, document, encoded, listener, process, quality, upstream
from .servers import Host, Server

NAME = "web"
"""What the host is called."""

MACROS = [{"macro": "{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}", "value": ".*"}]
"""What the host needs to have its upstreams discovered."""

_PARTNER = "203.0.113.40:443"
"""The upstream whose closed connections java keeps."""

_STEP = 60
_JAVA_BACKLOG = 100

# How far into the time java is busiest, for some minutes before and after; the last is now.
_BUSY = (0.28, 0.62, 0.995)
_BUSY_SECONDS = 500


@dataclass(slots=True)
class _Moment:
    """What one document is made of, and the counters that only grow."""

    rng: random.Random
    share: float = 0.0
    custom: float = 1.0
    waiting: int = 0
    overflows: int = 4_211
    retransmits: int = 1_902_334
    resets: int = 5_032
    counted: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def about(self, mean: float, spread: float = 0.05) -> int:
        """Return a number near *mean* times what custom there is now."""
        return max(0, round(self.custom * mean * self.rng.gauss(1, spread)))

    def count(
        self,
        kind: type[Record],
        row: str,
        *,
        accepted: float = 0,
        opened: float = 0,
        failed: float = 0,
        kilobytes: tuple[float, float] = (0, 0),
        handshake: float = 0,
    ) -> Row:
        """Count what a row does in a minute, and return its totals.

        By the second on average: connections, and kilobytes sent and received for each; and the
        seconds that a handshake takes.
        """
        counted = self.counted[row]
        grown = Counter(
            accepted=self.about(_STEP * accepted, 0.1),
            opened=self.about(_STEP * opened, 0.1),
            failed=self.about(_STEP * failed, 0.3),
        )
        grown["attempts"] = grown["opened"] + grown["failed"]
        grown["closed"] = grown["accepted"] + grown["opened"]
        sent, received = kilobytes
        grown["bytes_sent"] = round(grown["closed"] * self.rng.gauss(1000, 50) * sent)
        grown["bytes_received"] = round(grown["closed"] * self.rng.gauss(1000, 50) * received)
        grown["handshake_us"] = round(grown["opened"] * self.rng.gauss(1e6, 1e5) * handshake)
        grown["lifetime_ms"] = grown["opened"] * self.rng.randint(700, 900)
        counted.update(grown)
        return {"totals": {name: counted[name] for name in fields_of(kind)}}

    @property
    def leaked(self) -> int:
        """How many connections java should have closed by now."""
        return round(max(0.0, self.share - 0.45) * 640)


def tell(server: Server, host: Host, hours: int) -> list[Row]:
    """Tell the server what the host was like until now, and return that."""
    end = int(time.time()) // _STEP * _STEP
    begin = end - hours * 3600
    told = list(documents(begin, end))
    rows = [(host.name, KEY, encoded(made), made["time"]) for made in told]
    for part in (rows[:1], rows[1:]):  # in the first are all rows, to be discovered
        assert server.send(part) == (len(part), 0)
        settle(server)
        server.reload()
    return told


def documents(begin: int, end: int, seed: int = 7) -> Iterator[Row]:
    """Yield the document of each minute."""
    now = _Moment(random.Random(seed))
    for clock in range(begin, end + 1, _STEP):
        now.share = (clock - begin) / (end - begin)
        wave = math.sin(2 * math.pi * (now.share - 0.2))
        now.custom = 1 + 0.35 * wave + 0.08 * math.sin(now.share * 31) + now.rng.gauss(0, 0.02)
        now.waiting = _waiting(now, end - begin)
        now.overflows += now.rng.randint(20, 90) * (now.waiting > _JAVA_BACKLOG)
        now.retransmits += round(_STEP * now.custom * now.rng.uniform(1.5, 4))
        yield _document(now) | {"time": clock}


def _waiting(now: _Moment, period: int) -> int:
    """How many connections java has not accepted."""
    into = min((abs(now.share - busy) * period / _BUSY_SECONDS for busy in _BUSY), default=1)
    if into < 1:
        return min(_JAVA_BACKLOG + 1, round(now.rng.uniform(1.2, 1.6) * _JAVA_BACKLOG * (1 - into)))
    return now.rng.choice((0, 0, 0, 1, 2))


class _Traffic(NamedTuple):
    """How many connections there are of each kind in one moment."""

    visitors: int
    pages: int
    calls: int
    queries: int
    cache: int
    jobs: int
    partner: int


def _document(now: _Moment) -> Row:
    means = _Traffic(visitors=940, pages=110, calls=160, queries=130, cache=85, jobs=40, partner=60)
    traffic = _Traffic(*map(now.about, means))
    processes = [*_behind_doors(now, traffic), *_around(now)]
    return document(
        0,
        {
            "processes": processes,
            "listeners": _listeners(now, traffic),
            "upstreams": _upstreams(now, traffic),
        },
        host=_host(processes, now),
        collector={
            "seconds": round(0.041 + 6e-6 * traffic.visitors + abs(now.rng.gauss(0, 0.003)), 4),
            "unowned": now.rng.randint(2, 5),
            "unaccepted": now.waiting,
        },
    )


def _behind_doors(now: _Moment, traffic: _Traffic) -> list[Row]:
    """Return the processes that serve the shop."""
    visitors, pages, calls, queries, cache, jobs, partner = traffic
    opened = {
        "nginx": pages + calls,
        "php": pages + cache // 2,
        "java": partner + queries // 3 + jobs,
    }
    return [
        process("nginx", listen=4, established=visitors + opened["nginx"], inbound=visitors,
                outbound=opened["nginx"], fin_wait2=now.about(25), last_ack=now.about(4),
                instances=5, send_queue_bytes=now.about(90_000), fds=10 * now.custom,
                **quality(measured=visitors, retransmitting=now.about(8, 0.6), rtt=0.031),
                **now.count(ProcessTotals, "nginx", accepted=31, opened=14, failed=0.03,
                            kilobytes=(38, 2))),
        process("php-fpm8.2", listen=1, established=pages + opened["php"], inbound=pages,
                outbound=opened["php"], instances=24, fds=4 * now.custom,
                **now.count(ProcessTotals, "php", accepted=9, opened=11, kilobytes=(12, 9))),
        process("java", listen=1, established=calls + opened["java"], inbound=calls,
                outbound=opened["java"], close_wait=now.leaked,
                syn_sent=now.rng.choice((0, 0, 1, 3)), accept_queue=now.waiting,
                fds=24 + 0.17 * now.leaked + 2 * now.custom, **_remote(now),
                **quality(measured=calls + partner, retransmitting=now.about(2, 0.6), rtt=0.004),
                **now.count(ProcessTotals, "java", accepted=6, opened=3, failed=now.leaked / 900,
                            kilobytes=(21, 5))),
        process("postgres", listen=2, established=queries, inbound=queries,
                instances=queries + 7, fds=6.1,
                **now.count(ProcessTotals, "postgres", accepted=4, kilobytes=(44, 3))),
        process("redis-server", listen=2, established=cache, inbound=cache, fds=1.2 + now.custom,
                **now.count(ProcessTotals, "redis", accepted=7, kilobytes=(3, 1))),
        process("beam.smp", listen=2, established=jobs + 2, inbound=jobs, outbound=2, fds=3.4,
                **now.count(ProcessTotals, "beam", accepted=0.4, kilobytes=(2, 60))),
    ]  # fmt: skip


def _remote(now: _Moment) -> Row:
    """Return java's remote end in trouble, once it is in trouble."""
    return {"worst_remote": f"tcp/{_PARTNER}"} if now.leaked >= WORST_REMOTE_FROM else {}


def _around(now: _Moment) -> list[Row]:
    """Return the processes that every host has."""
    return [
        process("sshd", listen=2, established=3, inbound=3, instances=4, fds=0.8),
        process("zabbix_agentd", listen=2, established=now.rng.randint(0, 2), instances=6, fds=0.9),
        process("master", listen=2, fds=1.9),
        process("systemd-resolved", listen=1, bound=2, fds=0.3),
        process("chronyd", bound=2, fds=0.5),
        process("node_exporter", listen=1, established=1, inbound=1, fds=0.4),
    ]


def _listeners(now: _Moment, traffic: _Traffic) -> list[Row]:
    visitors, pages, calls, queries, cache, jobs, _ = traffic
    by_ipv4 = round(visitors * 0.7)
    return [
        listener("tcp/0.0.0.0:443", "nginx", established=by_ipv4, queue=_spike(now), processes=5,
                 **now.count(ListenerTotals, "443", accepted=22, kilobytes=(38, 2))),
        listener("tcp/[::]:443", "nginx", established=visitors - by_ipv4,
                 queue=now.rng.randint(0, 3), processes=5,
                 **now.count(ListenerTotals, "443v6", accepted=9, kilobytes=(38, 2))),
        listener("tcp/0.0.0.0:80", "nginx", established=now.about(12), processes=5),
        listener("tcp/[::]:80", "nginx", established=now.about(3), processes=5),
        listener("tcp/127.0.0.1:9000", "php-fpm8.2", established=pages, queue=now.about(2, 0.6),
                 processes=24,
                 **now.count(ListenerTotals, "9000", accepted=9, kilobytes=(12, 9))),
        listener("tcp/[::]:8080", "java", established=calls, queue=now.waiting,
                 backlog=_JAVA_BACKLOG,
                 **now.count(ListenerTotals, "8080", accepted=6, kilobytes=(21, 5))),
        listener("tcp/127.0.0.1:5432", "postgres", established=queries, backlog=200,
                 **now.count(ListenerTotals, "5432", accepted=4, kilobytes=(44, 3))),
        listener("tcp/127.0.0.1:6379", "redis-server", established=cache,
                 **now.count(ListenerTotals, "6379", accepted=7, kilobytes=(3, 1))),
        listener("tcp/0.0.0.0:5672", "beam.smp", established=jobs, backlog=128),
        listener("tcp/0.0.0.0:22", "sshd", established=3, backlog=128),
        listener("tcp/[::]:22", "sshd", backlog=128),
        listener("tcp/0.0.0.0:10050", "zabbix_agentd", backlog=128, processes=6),
        listener("tcp/127.0.0.1:25", "master", backlog=100),
        listener("tcp/[::]:9100", "node_exporter", established=1, backlog=4096),
        listener("udp/127.0.0.53:53", "systemd-resolved"),
        listener("udp/0.0.0.0:323", "chronyd"),
    ]  # fmt: skip


def _upstreams(now: _Moment, traffic: _Traffic) -> list[Row]:
    return [
        upstream("nginx", "tcp/127.0.0.1:9000", established=traffic.pages, taken=1.1 * now.custom,
                 **quality(measured=traffic.pages, rtt=0.0002 * now.custom),
                 **now.count(UpstreamTotals, "pages", opened=9, kilobytes=(9, 12),
                             handshake=0.00004)),
        upstream("java", f"tcp/{_PARTNER}", established=traffic.partner, close_wait=now.leaked,
                 taken=_taken(now),
                 **quality(measured=traffic.partner, retransmitting=now.about(2, 0.6),
                           rtt=0.014 * now.custom),
                 **now.count(UpstreamTotals, "partner", opened=1.5, failed=now.leaked / 900,
                             kilobytes=(2, 30), handshake=0.013 * now.custom)),
    ]  # fmt: skip


def _spike(now: _Moment) -> int:
    """A burst that nginx has to accept, one in twenty times."""
    return now.rng.randint(40, 260) if now.rng.random() < 0.05 else now.about(2, 0.8)


def _taken(now: _Moment) -> float:
    return 11 * now.custom + 0.01 * now.leaked


def _host(processes: list[Row], now: _Moment) -> Row:
    sums = {
        state: sum(row["tcp"][state] for row in processes)
        for state in ("established", "listen", "syn_sent", "close_wait", "fin_wait2", "last_ack")
    }
    taken = _taken(now)
    now.resets += now.about(2, 0.6)
    counted: Counter[str] = Counter()
    for row in processes:
        counted.update(row["totals"])
    return {
        "totals": {
            "active_opens": counted["attempts"],
            "passive_opens": counted["accepted"],
            "attempt_fails": counted["failed"],
            "estab_resets": now.resets,
        },
        "tcp": {
            **sums,
            "syn_recv": now.about(9, 0.3),
            "fin_wait1": now.about(6, 0.4),
            "time_wait": now.about(720),
            "closing": 0,
        },
        "udp": {"bound": 4, "connected": 0},
        "orphans": now.about(11, 0.2),
        "tcp_memory_bytes": now.about(19_000) * 4096,
        "listen_overflows": now.overflows,
        "listen_drops": now.overflows,
        "retransmitted_segments": now.retransmits,
        "ephemeral": {
            "worst_used": round(282.32 * taken),
            "worst_pct": round(taken, 2),
            "worst_endpoint": f"tcp/{_PARTNER}",
        },
    }
