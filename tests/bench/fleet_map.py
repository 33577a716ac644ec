"""Measures the map of a fleet that has told a real server of itself; see README.md."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "tests" / "support")]  # as pytest has them

# ruff: noqa: E402
from tests.bench.isolate import run_isolated
from tests.zabbix import programs
from tests.zabbix.provisioning import SUPER_ADMIN_ROLE, add_user
from tests.zabbix.servers import SERVER_VERSIONS, Server, Servers
from zabbix_sockets.service_map.reading import TOP
from zabbix_sockets.service_map.told import LISTENERS, UPSTREAMS

_NAME = "Fleet"
_BATCH = 100
_PER_GROUP, _LISTENERS = 40, 40
_TRAPPER, _FLOAT, _TEXT = 2, 0, 4
_PRIMES = (*(1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67),)
_PORTS = (80, 443, 5432, 6379, 9000)
_PROCESSES = ("nginx", "php-fpm", "java", "python3")
_SERVERS = ("httpd", "haproxy", "postgres", "redis-server", "php-fpm")


class Run(NamedTuple):
    """One call of the command: wall time and CPU time in seconds, peak memory, and its last line.

    The memory is the largest resident set, in MB.
    """

    seconds: float
    cpu: float
    megabytes: float
    said: str


def _address(number: int) -> str:
    return f"10.{number // 250}.{number % 250}.1"


def _texts(number: int, hosts: int, upstreams: int) -> tuple[str, str]:
    """Return what a host tells; each upstream leads to another host of the fleet."""
    ports = [*_PORTS, *range(20_000, 20_000 + _LISTENERS - len(_PORTS))]
    served = [
        f"listener\ttcp/0.0.0.0:{port}\t{_SERVERS[at % len(_SERVERS)]}"
        for at, port in enumerate(ports)
    ]
    used = []
    for at in range(upstreams):
        step = _PRIMES[at % len(_PRIMES)] + at // len(_PRIMES) * 71
        end = f"{_address((number + step) % hosts)}:{_PORTS[at % len(_PORTS)]}"
        used.append(f"upstream\t{_PROCESSES[at % len(_PROCESSES)]}\ttcp/{end}")
    own = [f"address\t{_address(number)}", "address\t172.17.0.1/16\tbridge"]
    return "\n".join([*own, *served]), "\n".join(sorted(used))


def _template(server: Server) -> str:
    """Create a template with the items that maps are drawn of, and alarms; return its id."""
    (group,) = (
        server.api.hostgroup.create(name="Maps")
        if server.version == "6.0"
        else server.api.templategroup.create(name="Maps")
    )["groupids"]
    name = "Fleet template"
    (template,) = server.api.template.create(host=name, groups=[{"groupid": group}])["templateids"]
    rows = [f'["tcp/0.0.0.0:{port}"]' for port in _PORTS]
    keys = [f"sockets.listener.{of}{row}" for row in rows for of in ("sockets", "accept_queue_pct")]
    texts = dict.fromkeys((LISTENERS, UPSTREAMS, TOP), _TEXT)
    for key, kind in {**texts, **dict.fromkeys(keys, _FLOAT)}.items():
        server.api.item.create(hostid=template, name=key, key_=key, type=_TRAPPER, value_type=kind)
    for key in keys:
        server.api.trigger.create(description=f"{key} fails", expression=f"last(/{name}/{key})=7")
    return str(template)


def _fill(server: Server, hosts: int, upstreams: int) -> None:
    """Create the hosts, in groups, and what each has told, in the database itself."""
    linked = [{"templateid": _template(server)}]
    names = [f"fleet {number}" for number in range(hosts)]
    groups = [f"Fleet {number}" for number in range(-(-hosts // _PER_GROUP))]
    ids = [server.api.hostgroup.create(name=name)["groupids"][0] for name in groups]
    for at in range(0, hosts, _BATCH):
        server.api.host.create(
            *(
                {
                    "host": name,
                    "groups": [{"groupid": ids[(at + number) // _PER_GROUP]}],
                    "templates": linked,
                }
                for number, name in enumerate(names[at : at + _BATCH])
            )
        )
    items = {
        (item["hosts"][0]["host"], item["key_"]): item["itemid"]
        for item in server.api.item.get(
            output=["key_"], filter={"key_": [LISTENERS, UPSTREAMS]}, selectHosts=["host"]
        )
    }
    now = int(time.time())
    for number, name in enumerate(names):
        values = ", ".join(
            f"({items[name, key]}, {now}, $${text}$$, 0)"
            for key, text in zip((LISTENERS, UPSTREAMS), _texts(number, hosts, upstreams))
        )
        server.sql(
            f"insert into history_text (itemid, clock, value, ns) values {values} returning 1"
        )


def _draw(server: Server, folder: Path, token: str, *arguments: str) -> Run:
    command = [sys.executable, "-I", "-m", "zabbix_sockets", "provision", "map", _NAME]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "ZABBIX_TOKEN": token}
    began = time.monotonic()
    with (folder / "said").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            [*command, "--url", server.url, *arguments], stdout=said, stderr=said, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        lines = said.read().splitlines()
    assert not process.returncode, lines
    cpu = usage.ru_utime + usage.ru_stime
    return Run(seconds, cpu, usage.ru_maxrss * 1024 / 1e6, f"{len(lines)} lines, {lines[-1]}")


TITLE = "| run | wall s | CPU s | peak MB | printed |\n" + "|---" * 5 + "|"


def _measure(server: Server, folder: Path, options: argparse.Namespace) -> Iterator[str]:
    began = time.monotonic()
    _fill(server, options.hosts, options.upstreams)
    (count,) = server.sql(
        "select count(*) n from items join hosts using (hostid) where hosts.status = 0"
    )
    pairs = options.hosts * options.upstreams
    yield (
        f"Zabbix {server.version}, {options.hosts:,} hosts with {int(count['n']):,} items,"
        f" {pairs:,} pairs; made in {time.monotonic() - began:.0f} s\n"
    )
    yield TITLE
    token = add_user(server, SUPER_ADMIN_ROLE).token
    runs = (
        ("first", ()),
        ("nothing changes", ()),
        ("nothing changes, --dry-run", ("--dry-run",)),
        ("--focus, two hops", ("--focus", "fleet 0", "--format", "json")),
    )
    for name, arguments in runs:
        run = _draw(server, folder, token, *arguments)
        yield f"| {name} | {run.seconds:.1f} | {run.cpu:.1f} | {run.megabytes:.0f} | {run.said} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table; in namespaces of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--version", choices=SERVER_VERSIONS, default=SERVER_VERSIONS[-1])
    add("--hosts", type=int, default=1000)
    add("--upstreams", type=int, default=20, help="of each host, each to another one")
    options = parser.parse_args(arguments)
    raise SystemExit(run_isolated(lambda: _run(options)))


def _run(options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        lab = stack.enter_context(programs.directory())
        servers = Servers(lab)
        stack.callback(servers.stop)
        server = stack.enter_context(servers.fresh(options.version, CacheSize="256M"))
        for line in _measure(server, lab, options):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    main()
