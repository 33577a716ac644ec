"""Hosts that are well, made minute by minute: what changes on them, and nothing to wake for.

A busy host has a day of its own in ten hours: load that wanders and has a peak, deploys, workers
that are added, a reboot, an hour in which nobody asks it, processes that come and go. Whatever
an alarm looks at exceeds every threshold now and then, for less time than the alarm's window;
and stays the same meanwhile, as the few values that are stored of it then look like a long time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..documents import Row, document, listener, process, quality, upstream  # noqa: TID252

HOURS = 10
DAY = HOURS * 60

REBOOT = range(200, 204)
SILENCE = range(300, 340)
"""Minutes without a document."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process, where it listens and to whom it connects."""

    name: str
    listens: tuple[str, ...] = ()
    load: int = 0
    """Established connections on the average."""
    to: str = ""
    workers: int = 1


BUSY = (
    Service(
        "nginx", ("tcp/0.0.0.0:80", "tcp/0.0.0.0:443", "tcp/[::]:443"), 900, "tcp/192.0.2.8:80"
    ),
    Service("haproxy", ("tcp/192.0.2.1:6443",), 300, "tcp/192.0.2.9:6443", workers=4),
    Service("gunicorn", ("tcp/0.0.0.0:8000",), 120, "tcp/192.0.2.7:5432"),
    Service("java", ("tcp/[::]:8080",), 200, "tcp/192.0.2.7:5432"),
    Service("postgres", ("tcp/0.0.0.0:5432",), 90),
    Service("redis-server", ("tcp/127.0.0.1:6379",), 60),
    Service("beam.smp", ("tcp/[::]:5672",), 40, "tcp/192.0.2.6:25672"),
    Service("node_exporter", ("tcp/[::]:9100",), 2),
    Service("sshd", ("tcp/0.0.0.0:22", "tcp/[::]:22"), 2),
    Service("zabbix_agentd", ("tcp/0.0.0.0:10050",), 1, "tcp/192.0.2.5:10051"),
    Service("php-fpm", ("unix//run/php/php8.2-fpm.sock",), 30),
    Service("named", ("tcp/127.0.0.1:53", "udp/127.0.0.1:53", "udp/192.0.2.1:53")),
    Service("chronyd", ("udp/127.0.0.1:323",)),
    Service("dhclient", ("udp/0.0.0.0:68",)),
    Service("fetch-queue", (), 25, "tcp/192.0.2.4:443"),
)

IDLE = (
    Service("sshd", ("tcp/0.0.0.0:22", "tcp/[::]:22"), 1),
    Service("master", ("tcp/127.0.0.1:25",)),
    Service("zabbix_agentd", ("tcp/0.0.0.0:10050",)),
    Service("chronyd", ("udp/127.0.0.1:323",)),
    Service("dbus-daemon", ("unix//run/dbus/system_bus_socket",)),
    Service("rpcbind", ("tcp/0.0.0.0:111", "udp/0.0.0.0:111")),
)


@dataclass(slots=True)
class _Burst:
    """Some minutes in which one figure of a service is out of the ordinary."""

    what: str
    ends: int


# How long each may last: an alarm's window, or one sample less than it wants.
_BURSTS = {
    "connecting": 9,
    "fds": 9,
    "stuck": 14,
    "taken": 9,
    "queue": 2,
    "absent": 9,
    "lossy": 9,
    "slow": 9,
    "failing": 14,
    "late": 14,
}
_PAUSE = 30
"""Minutes between two bursts of a service, the windows of all alarms on them."""


@dataclass(slots=True)
class _Life:
    """What is going on in a service."""

    service: Service
    level: float = 1.0
    burst: _Burst = field(default_factory=lambda: _Burst("", 0))
    quiet_until: int = 20
    dropped: int = 0
    """What was dropped at each of its listeners since it was started."""
    totals: dict[str, int] = field(default_factory=dict)
    """What the kernel has counted since the host was started."""

    def count(self, load: int, what: str) -> None:
        """Count the connections of a minute, one for each that is open, and what they carried."""
        failing = what == "failing"
        more = {
            "attempts": load,
            "opened": 0 if failing else load - load // 20,
            "failed": load if failing else load // 20,
            "accepted": load,
            "closed": 2 * load,
            "resets": load // 3,
            "bytes_sent": 9000 * load,
            "bytes_received": 700 * load,
            "handshake_us": load * (90_000 if what == "late" else 400),
            "lifetime_ms": 30 * load,
        }
        self.totals = {key: self.totals.get(key, 0) + each for key, each in more.items()}

    def counted(self, *left_out: str) -> dict[str, int]:
        """Return its totals, without those that a list hasn't."""
        return {key: value for key, value in self.totals.items() if key not in left_out}

    def step(self, minute: int, rng: random.Random) -> str:
        """Go to the next minute, and return what is out of the ordinary in it."""
        self.level = min(1.5, max(0.5, self.level * rng.uniform(0.93, 1.075)))
        apart = any(
            minute in range(each.start - _PAUSE, each.stop + _PAUSE) for each in (REBOOT, SILENCE)
        )
        if minute >= self.quiet_until and not apart and rng.random() < 0.04:
            # The host's own alarm on ports looks at the worst of all destinations.
            what = rng.choice(
                [each for each in _BURSTS if each != "taken" or self.service is BUSY[0]]
            )
            self.burst = _Burst(what, minute + rng.randint(1, _BURSTS[what]))
            self.quiet_until = self.burst.ends + _PAUSE
        return self.burst.what if minute < self.burst.ends else ""


def _quality(load: int, what: str) -> Row:
    """Return its round-trip times and retransmissions: on a way that is neither bad nor short."""
    if not load:
        return quality()
    retransmitting = load if what == "lossy" else load // 30
    rtt = 2.0 if what == "slow" else 0.01 + load / 1e5
    return quality(measured=load, retransmitting=retransmitting, rtt=rtt)


_OUTBOUND = "attempts", "opened", "failed", "handshake_us", "lifetime_ms"


def _process(life: _Life, load: int, what: str) -> Row:
    service = life.service
    return process(
        service.name,
        listen=sum(each.startswith("tcp") for each in service.listens) * service.workers,
        bound=sum(each.startswith("udp") for each in service.listens),
        established=load,
        close_wait=900 if what == "stuck" else load // 80,
        syn_sent=400 if what == "connecting" else load // 40,
        fds=99 if what == "fds" else 1 + load / 100,
        instances=service.workers,
        totals=life.counted(),
        **_quality(load, what),
    )


def _listeners(life: _Life, load: int, what: str, minute: int) -> Iterator[Row]:
    service = life.service
    waiting = load // 300 * bool(minute % 5)  # empty in one sample of five
    life.dropped += 99 * (minute % 8 == 0)  # in one sample of eight
    for place in service.listens:
        protocol = place.partition("/")[0]
        figures: dict[str, Any] = {} if protocol == "unix" else {"drops": life.dropped}
        if protocol == "tcp":
            figures |= {"sockets": service.workers, "totals": life.counted(*_OUTBOUND)}
        yield listener(
            place,
            service.name,
            established=0 if protocol == "udp" else load // len(service.listens),
            queue=512 if what == "queue" and protocol != "udp" else waiting,
            **figures,
        )


def _upstreams(life: _Life, load: int, what: str) -> Iterator[Row]:
    if life.service.to:
        waiting = 400 if what == "connecting" else load // 40
        taken = 99 if what == "taken" else load / 282
        yield upstream(
            life.service.name,
            life.service.to,
            established=load,
            syn_sent=waiting,
            taken=taken,
            totals=life.counted("accepted"),
            **_quality(load, what),
        )


def _passing(minute: int, rng: random.Random) -> list[Row]:
    """Return processes that come and go: one an hour lasts long enough to be discovered."""
    rows = [process(name, settled=0, established=rng.randint(0, 9)) for name in ("cron", "curl")]
    if minute % 60 in range(15, 40):
        settled = int(minute % 60 >= 25)
        rows.append(process("backup", settled=settled, established=4, close_wait=minute % 60))
    return rows[rng.randint(0, 2) :]


def _totals(booted: int, overflows: int) -> dict[str, int]:
    """Return counters: connections come and fail, in one minute of 45 somebody scans all ports.

    Datagrams with errors come in bursts too, which may fall together with those of overflows.
    """
    scans = booted // 45
    return {
        "active_opens": booted * 900 + booted % 3,
        "passive_opens": booted * 6000 + booted % 7,
        "attempt_fails": booted * 12 + scans * 65_535,
        "estab_resets": booted * 240 + booted % 5,
        "out_rsts": booted * 120 + scans * 65_535,
        "syn_cookies_sent": overflows // 9,
        "udp_in_errors": booted // 30 * 45 + overflows,
        "udp_rcvbuf_errors": overflows,
        "udp_no_ports": booted * 6 + scans * 65_535,
    }


def booted(minute: int) -> int:
    """Return for how many minutes the busy host has been up."""
    return minute if minute < REBOOT.stop else minute - REBOOT.stop


def _host(minute: int, worst: Row | None, overflows: int, rng: random.Random) -> dict[str, Any]:
    up = booted(minute)
    taken = float(worst["ephemeral_pct"]) if worst else 0.0
    return {
        "listen_overflows": overflows,
        "listen_drops": overflows + up // 30,
        "retransmitted_segments": up * 40,
        "totals": _totals(up, overflows),
        "uptime": 60 * up,
        "orphans": rng.randint(0, 400),
        "tcp_memory_bytes": rng.randint(10, 20) * 4_000_000,
        "ephemeral": {"worst_pct": taken, "worst_endpoint": worst["id"] if worst else ""},
    }


def busy(seed: int) -> Iterator[tuple[float, Row]]:
    """Yield the minutes and documents of a host with much to do."""
    rng = random.Random(seed)
    lives = [_Life(service) for service in BUSY]
    overflows = 0
    for minute in range(DAY):
        if minute in REBOOT or minute in SILENCE:
            if minute in REBOOT:
                overflows = 0
                for life in lives:
                    life.totals = {}
            continue
        peak = 1 + math.exp(-(((minute - DAY / 2) / 120) ** 2))
        lists: dict[str, list[Row]] = {"processes": _passing(minute, rng)}
        lists |= {"listeners": [], "upstreams": []}
        for at, life in enumerate(lives):
            what = life.step(minute, rng)
            booting = minute in range(REBOOT.stop, REBOOT.stop + 1 + at // 3)
            if what == "absent" or booting:
                life.dropped = 0  # with the sockets
                continue
            if minute == SILENCE.stop:
                what = rng.choice(["connecting", "fds", "stuck", "taken", "queue", "lossy", "slow"])
            load = round(life.service.load * life.level * peak)
            life.count(load, what)
            lists["processes"].append(_process(life, load, what))
            lists["listeners"] += _listeners(life, load, what, minute)
            lists["upstreams"] += _upstreams(life, load, what)
        overflows += rng.randint(20, 99) if minute % 15 < 2 else 0
        worst = max(lists["upstreams"], key=lambda row: float(row["ephemeral_pct"]), default=None)
        slow = minute % 50 in range(20, 28) or minute in range(REBOOT.stop, REBOOT.stop + 5)
        collector = {
            "seconds": 2.4 if slow else round(rng.uniform(0.02, 0.09), 4),
            "unowned": rng.randint(0, 9),
            "vanished_processes": rng.randint(0, 3),
        }
        host = _host(minute, worst, overflows, rng)
        yield minute, document(60 * minute, lists, host=host, collector=collector)


def idle(minutes: range) -> Iterator[tuple[float, Row]]:
    """Yield the minutes and documents of a host on which nothing happens."""
    lists: Mapping[str, list[Row]] = {
        "processes": [_process(_Life(each), each.load, "") for each in IDLE],
        "listeners": [row for each in IDLE for row in _listeners(_Life(each), each.load, "", 0)],
    }
    for minute in minutes:
        collector = {"seconds": 0.02 + minute % 7 / 1000}
        yield minute, document(60 * minute, lists, collector=collector)
