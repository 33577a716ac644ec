"""Installations made up: hosts that tell of themselves, as texts do, and any installation."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from zabbix_sockets.service_map.matching import MapHost
from zabbix_sockets.service_map.told import parse_told

GROUPS = ("Databases", "Web servers", "Workers")
HOSTILE = ("{?last(/other/key)}", "{HOST.IP}", 'a"b\\c', "x" * 300, "naïve\nline", "<b>", "")
EXTERNAL = ("198.51.100.7", "198.51.100.8", "203.0.113.9", "2001:db8:ffff::1")


def host(
    number: int,
    *,
    name: str = "",
    addresses: Iterable[str] = (),
    listeners: Iterable[str] = (),
    upstreams: Iterable[str] = (),
    groups: tuple[str, ...] = ("Web servers",),
    interfaces: tuple[str, ...] = (),
) -> MapHost:
    """Return a host; of the lines of its texts the first word is left out."""
    own = [f"address\t{each}" for each in (f"10.0.0.{number}", *addresses)]
    served = [f"listener\t{each}" for each in listeners]
    used = "\n".join(f"upstream\t{each}" for each in upstreams)
    technical = f"host{number}"
    told = parse_told("\n".join(own + served), used)
    return MapHost(str(1000 + number), technical, name or technical, groups, told, interfaces)


def shop() -> list[MapHost]:
    """Return a web server, PHP with a database of its own, and a database."""
    return [
        host(1, listeners=["tcp/0.0.0.0:443\tnginx"], upstreams=["nginx\ttcp/10.0.0.2:9000"]),
        host(
            2,
            listeners=["tcp/10.0.0.2:9000\tphp-fpm", "tcp/127.0.0.1:6379\tredis"],
            upstreams=[
                "php-fpm\ttcp/10.0.0.3:5432",
                "php-fpm\ttcp/127.0.0.1:6379",
                "php-fpm\ttcp/198.51.100.7:443",
            ],
        ),
        host(3, listeners=["tcp/[::]:5432\tdocker-proxy\tdb"], groups=("Databases",)),
    ]


@st.composite
def worlds(draw: st.DrawFn, most: int = 12) -> list[MapHost]:
    """Return any installation: hosts that talk to each other, to themselves and to others."""
    count = draw(st.integers(1, most))
    known = [f"10.0.0.{number}" for number in range(1, count + 1)]
    ends = st.sampled_from([*known, *EXTERNAL, "127.0.0.1"])
    ports = st.sampled_from([80, 443, 5432])
    processes = st.sampled_from(["nginx", "php-fpm", "a b", "%7B?x", "x>y"])
    used = st.builds(
        lambda process, end, port: f"{process}\ttcp/{_shown(end)}:{port}", processes, ends, ports
    )
    served = st.builds(lambda port, process: f"tcp/0.0.0.0:{port}\t{process}", ports, processes)
    names = st.sampled_from([*HOSTILE, "web", "db"])
    groups = st.sets(st.sampled_from(GROUPS)).map(lambda some: tuple(sorted(some)))
    return [
        host(
            number,
            name=draw(names),
            listeners=draw(st.sets(served, max_size=3)),
            upstreams=sorted(draw(st.sets(used, max_size=6))),
            groups=draw(groups),
        )
        for number in range(1, count + 1)
    ]


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address
