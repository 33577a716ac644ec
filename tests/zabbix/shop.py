"""A shop of a dozen hosts, for its map: what each has told a server by now.

A load balancer, web servers, PHP, a database with a copy, a cache, a queue and its worker, and a
payment service that is somebody else's. The worker gets no answer from that; the second PHP host
has a slow way to the cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from . import templates
from .alarms.replay import KEY, settle
from .documents import Row, document, encoded, listener, process, quality, upstream
from .provisioning import SUPER_ADMIN_ROLE, Answer, User, add_user
from .servers import Server

GROUP = NAME = "Shop"
"""The host group, and the map."""
PAYMENTS = "203.0.113.40"
HOURS = 3
"""So long the server has been told of what is not well: what is usual is known by hours."""
_TROUBLE_MINUTES = 25
HEALED_MINUTES = 25
"""Longer than the windows of alarms."""


class Shop(NamedTuple):
    """A host: its name and address, who listens there at which port, and to whom it connects.

    *upstreams* are a process, an address with a port, and the number of connections. *failing* and
    *slow* are those of these addresses that give no answer, or a late one.
    """

    name: str
    address: str
    listens: tuple[tuple[str, int], ...] = ()
    upstreams: tuple[tuple[str, str, int], ...] = ()
    failing: str = ""
    slow: str = ""
    container: str = ""


_WEB = ("192.0.2.11", "192.0.2.12", "192.0.2.13")
_PHP = ("192.0.2.21", "192.0.2.22")
_DATABASE, _COPY, _CACHE, _QUEUE = "192.0.2.31", "192.0.2.32", "192.0.2.41", "192.0.2.51"

HOSTS = (
    Shop(
        "balancer",
        "192.0.2.10",
        (("haproxy", 443),),
        tuple(("haproxy", f"{web}:80", 40) for web in _WEB),
    ),
    *(
        Shop(
            f"web{number}",
            address,
            (("nginx", 80),),
            (("nginx", f"{_PHP[number % 2]}:9000", 12 + number),),
        )
        for number, address in enumerate(_WEB, 1)
    ),
    *(
        Shop(
            f"php{number}",
            address,
            (("php-fpm", 9000),),
            (
                ("php-fpm", f"{_DATABASE}:5432", 8 + number),
                ("php-fpm", f"{_CACHE}:6379", 6),
                ("php-fpm", f"{_QUEUE}:5672", 2),
            ),
            slow=f"{_CACHE}:6379" if number == 2 else "",
        )
        for number, address in enumerate(_PHP, 1)
    ),
    Shop("database", _DATABASE, (("postgres", 5432),), (("postgres", f"{_COPY}:5432", 1),)),
    Shop("database-copy", _COPY, (("postgres", 5432),)),
    Shop("cache", _CACHE, (("docker-proxy", 6379),), container="redis"),
    Shop("queue", _QUEUE, (("beam.smp", 5672),)),
    Shop(
        "worker",
        "192.0.2.61",
        (),
        (
            ("python3", f"{_QUEUE}:5672", 4),
            ("python3", f"{PAYMENTS}:443", 3),
            ("python3", f"{_DATABASE}:5432", 5),
        ),
        failing=f"{PAYMENTS}:443",
    ),
)


def set_up(server: Server, now: int) -> dict[str, str]:
    """Create the hosts and tell the server what they were like up to *now*, in Unix seconds.

    Return their ids by name.
    """
    templateid = templates.template(server, "trapper")
    (groupid,) = server.api.hostgroup.create(name=GROUP)["groupids"]
    everything = [{"macro": "{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}", "value": ".*"}]
    ids = {
        each.name: server.api.host.create(
            host=each.name,
            groups=[{"groupid": groupid}],
            templates=[{"templateid": templateid}],
            macros=everything,
        )["hostids"][0]
        for each in HOSTS
    }
    server.reload()
    told = [(each.name, KEY, encoded(_document(each, at, now)), at) for each, at in _moments(now)]
    first = [next(row for row in told if row[0] == each.name) for each in HOSTS]
    for part in (first, [row for row in told if row not in first]):
        assert server.send(part) == (len(part), 0)
        settle(server)
        server.reload()
    return ids


def remove(server: Server, ids: dict[str, str]) -> None:
    """Delete the hosts and their group."""
    (group,) = server.api.hostgroup.get(filter={"name": [GROUP]}, output=["groupid"])
    server.api.host.delete(*ids.values())
    server.api.hostgroup.delete(group["groupid"])


def heal(server: Server, since: int) -> None:
    """Tell the server that all has been well for HEALED_MINUTES, from *since* on."""
    rows = []
    for each in HOSTS:
        if each.failing or each.slow:
            well = each._replace(failing="", slow="")
            moments = [since + 60 * minute for minute in range(1, HEALED_MINUTES + 1)]
            rows += [(each.name, KEY, encoded(_document(well, at, since)), at) for at in moments]
    assert server.send(rows) == (len(rows), 0)
    settle(server)


def _moments(now: int) -> Iterator[tuple[Shop, int]]:
    for each in HOSTS:
        troubled = each.failing or each.slow
        for minute in range(HOURS * 60 if troubled else 2, -1, -1):
            yield each, now - 60 * minute


def _document(shop: Shop, clock: int, now: int) -> Row:
    troubled = clock > now - 60 * _TROUBLE_MINUTES
    listeners = [
        listener(f"tcp/0.0.0.0:{port}", name, established=10) for name, port in shop.listens
    ]
    upstreams = []
    for name, end, count in shop.upstreams:
        fails, late = troubled and end == shop.failing, troubled and end == shop.slow
        states = {"established": 0 if fails else count, "syn_sent": 14 if fails else 0}
        rtt = quality(measured=0 if fails else count, rtt=0.18 if late else 0.0008)
        upstreams.append(upstream(name, f"tcp/{end}", **states, **rtt))
    names = {name for name, _ in shop.listens} | {name for name, _, _ in shop.upstreams}
    lists = {
        "processes": [process(name, established=10) for name in sorted(names)],
        "listeners": listeners,
        "upstreams": upstreams,
    }
    made = document(clock, lists)
    made["map"] = {
        "listeners": "\n".join(
            [
                f"address\t{shop.address}",
                "address\t172.17.0.1/16\tbridge",
                *(
                    f"listener\ttcp/0.0.0.0:{port}\t{name}\t{shop.container}".rstrip("\t")
                    for name, port in shop.listens
                ),
            ]
        ),
        "upstreams": "\n".join(f"upstream\t{name}\ttcp/{end}" for name, end, _ in shop.upstreams),
    }
    return made


class Draftsman:
    """A user who draws maps on a server, and keeps what is remembered of them in a folder."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.user = add_user(server, SUPER_ADMIN_ROLE)
        self.folder = folder

    def draw(self, name: str, *arguments: str, user: User | None = None) -> Answer:
        """Run the command to its end."""
        command = ["provision", "map", name, "--url", self.server.url, *arguments]
        environment = (user or self.user).by_token | {"HOME": str(self.folder)}
        done = subprocess.run(
            [sys.executable, "-I", "-m", "zabbix_sockets", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env={"PATH": os.environ["PATH"], **environment},
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return Answer(done.returncode, done.stdout.splitlines(), done.stderr.splitlines())

    def map(self, name: str) -> dict[str, Any]:
        """Return a map as the API gives it."""
        (found,) = self.server.api.map.get(
            filter={"name": [name]},
            output="extend",
            selectSelements="extend",
            selectLinks="extend",
        )
        assert isinstance(found, dict)
        return found


class Town(Draftsman):
    """A server that the shop has told of itself up to some minutes ago, and who draws it."""

    def __init__(self, server: Server, folder: Path, minutes_ago: int = 0) -> None:
        super().__init__(server, folder)
        self.now = int(time.time()) // 60 * 60 - 60 * minutes_ago
        self.ids = set_up(server, self.now)

    def shown(self, *arguments: str) -> Answer:
        """Draw the shop."""
        alias = f"{PAYMENTS}=Payment service"
        return self.draw(NAME, "--group", GROUP, "--alias", alias, *arguments)
