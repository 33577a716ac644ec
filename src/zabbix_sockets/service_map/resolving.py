"""Addresses of the DNS names that hosts' interfaces have, asked of this machine's resolver."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor, wait

from zabbix_sockets.service_map.matching import MapHost
from zabbix_sockets.service_map.told import NOTHING

_SECONDS = 10.0
_AT_ONCE = 16
_MOST = 5000


def resolved(hosts: Iterable[MapHost]) -> list[MapHost]:
    """Return the hosts, with the addresses of the names of those that tell nothing of themselves.

    A name that is not known, or not in time, has none.
    """
    known = list(hosts)
    names = sorted({name for host in known if host.told == NOTHING for name in host.dns})[:_MOST]
    addresses = _resolve(names) if names else {}
    return [
        host._replace(
            resolved=tuple(sorted({each for name in host.dns for each in addresses.get(name, ())}))
        )
        for host in known
    ]


def _resolve(names: Collection[str]) -> dict[str, tuple[str, ...]]:
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        asked = {pool.submit(_addresses_of, name): name for name in names}
        done, _ = wait(asked, timeout=_SECONDS)
        return {asked[each]: each.result() for each in done}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _addresses_of(name: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(str(each[4][0]) for each in found)
