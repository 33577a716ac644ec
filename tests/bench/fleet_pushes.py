"""What hosts have pushed, and what of it a server has stored: values, bytes, what is lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.zabbix.proxies import Proxy
from tests.zabbix.servers import Server

ALWAYS_CHANGES = "sockets.collector.seconds"
"""An item whose value is another one in each of the documents."""
_MOST_MOMENTS = 40
_TABLES = ("history", "history_uint", "history_str", "history_text", "history_log")


class Accepted(NamedTuple):
    """A document that was accepted."""

    host: str
    began: float
    """When it was first pushed, in seconds of the wall clock."""
    clock: float
    """The time stamp that it was sent with when it was accepted."""
    end: float
    """When it was accepted."""
    tries: int


@dataclass
class Pushes:
    """What came of the documents that were pushed."""

    accepted: list[Accepted] = field(default_factory=list)
    victim: Proxy | None = None
    """The proxy that was killed meanwhile."""
    killed: float = 0.0
    """When that was."""
    of_victim: frozenset[str] = frozenset()
    """The hosts that were its own then."""

    def kill(self, server: Server, group: Sequence[Proxy]) -> None:
        """Kill the proxy that has most hosts."""
        hosts = [(each, _hosts_of(server, each)) for each in group]
        self.victim, self.of_victim = max(hosts, key=lambda each: len(each[1]))
        self.killed = time.time()
        self.victim.program.stop()

    def late(self) -> float:
        """Return the most seconds from a document's first push until it was accepted."""
        return max((each.end - each.began for each in self.accepted), default=0.0)

    def again(self) -> int:
        """Return how many were refused at first, and sent again."""
        return sum(each.tries > 1 for each in self.accepted)


def count_stored(server: Server) -> int:
    """Return how many values the database has."""
    each = (f"(SELECT count(*) FROM {table})" for table in _TABLES)
    return int(server.sql(f"SELECT {' + '.join(each)} AS n")[0]["n"])


def size_of_history(server: Server) -> int:
    """Return the bytes that they take, with their indices."""
    each = (f"pg_total_relation_size('{table}')" for table in _TABLES)
    return int(server.sql(f"SELECT {' + '.join(each)} AS n")[0]["n"])


def count_lacking(server: Server, since: float, hosts: int, documents: int) -> int:
    """Return how many values lack of an item that has another one in each document."""
    (row,) = server.sql(
        "SELECT count(*) AS n FROM history JOIN items USING (itemid) JOIN hosts USING (hostid)"
        f" WHERE host LIKE 'fleet %' AND key_ = '{ALWAYS_CHANGES}' AND clock + ns / 1e9 >= {since}"
    )
    return hosts * documents - int(row["n"])


def told_of_killed(server: Server, pushes: Pushes) -> dict[str, str]:
    """Return what to tell of lost documents if a proxy was killed."""
    if not (pushes.victim and pushes.accepted):
        return {}
    missing = find_missing(server, pushes.accepted)
    moments = [each.clock - pushes.killed for each in missing]
    own = [each.host in pushes.of_victim for each in missing]
    return {
        "accepted, but lost": f"{sum(own):,} of the {len(pushes.of_victim):,} hosts of the killed"
        f" proxy, {len(own) - sum(own):,} of others",
        "seconds from the kill to those": " ".join(
            f"{moment:+.1f}" for moment in moments[:_MOST_MOMENTS]
        ),
    }


def find_missing(server: Server, accepted: Sequence[Accepted]) -> list[Accepted]:
    """Return those of which the server has nothing, in the order of their moments."""
    rows = server.sql(
        "SELECT host, clock + ns / 1e9 AS moment FROM history JOIN items USING (itemid)"
        f" JOIN hosts USING (hostid) WHERE key_ = '{ALWAYS_CHANGES}'"
    )
    stored = {(row["host"], round(float(row["moment"]), 3)) for row in rows}
    lacking = [each for each in accepted if (each.host, round(each.clock, 3)) not in stored]
    return sorted(lacking, key=lambda each: each.clock)


def _hosts_of(server: Server, proxy: Proxy) -> frozenset[str]:
    """Return the names of the hosts that the server has given to this proxy of a group."""
    rows = server.sql(
        "SELECT hosts.host FROM host_proxy JOIN hosts USING (hostid)"
        f" WHERE host_proxy.proxyid = {proxy.proxyid}"
    )
    return frozenset(row["host"] for row in rows)
