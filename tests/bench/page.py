"""Writes docs/benchmarks.md of the result of a run: python tests/bench/page.py BENCH.json FOLDER.

Its pictures are in FOLDER/images; plot.py draws them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

WORDS = {
    "bpf": "`get`, BPF iterators",
    "sock_diag": "`get`, sock_diag and /proc/PID/fd",
    "procfs": "`get`, /proc/net and /proc/PID/fd",
    "bpf_without_tcp_info": "the same by BPF without round-trip times",
    "sock_diag_without_tcp_info": "the same by sock_diag without them",
    "bpf_with_clients": "the same by BPF with clients of each listener",
    "sock_diag_with_clients": "the same by sock_diag with them",
    "agent": "what an agent runs, as a user without privilege",
    "ss": "`ss -tunapH`",
    "ss_in_each": "`ss -tunapH` in each namespace",
    "netstat": "`netstat -tunap`",
    "lsof": "`lsof -nP -i`",
    "lsfd": "`lsfd -nQ` for TCP and UDP",
    "psutil": "psutil, all connections with names of processes",
    "iterator_records": "a C program that reads as many bytes of each socket from an iterator",
    "interpreter": "Python, starting (`-I -S`)",
    "interpreter_orjson": "Python, starting and importing orjson",
}
"""What is on the page, in this order, and in which words; other bounds are in bench.json."""

SCENARIOS = {
    "": "{sockets} sockets in {processes} processes",
    "processes": "{sockets} sockets in {processes} processes",
    "shared": "{sockets} sockets, each in four of {processes} processes",
    "distinct": "{sockets} sockets, each with a remote address of its own",
    "namespaces": "{sockets} sockets in {processes} network namespaces",
    "traffic": "{sockets} sockets that have carried data",
    "time_wait": "{sockets} sockets, and {time_wait} in TIME_WAIT",
}

_TOP = """\
<!-- Made by `make bench BENCH=--page`: tests/bench/page.py. -->

# Benchmarks

`get` beside what else tells which process holds which sockets, all in one run on one machine:
{machine}. It was {date}, of version {version}{commit}. Each figure is the median of the runs; peak
is the largest resident set of all of them. Both ends of each connection are on this host, over
loopback. Programs took turns, each at most {limit} seconds; what would have needed longer says so.
`get` had as much time, too: by default it ends after 2.5 seconds, and says what is missing. The
last column is the time in units of that of `get` with the iterators: below 1 is faster. What is
open has carried no data but where it says so, and there is nothing else in the network namespace.

![Seconds and memory by the number of sockets](images/benchmarks.png)

![Seconds by the shape of the load](images/benchmarks-loads.png)

To repeat it, as root, on a machine with two cores, 16 GB of memory and half an hour:

```sh
make bench BENCH=--page
```

[tests/bench](../tests/bench/README.md) has what each program and each load is, and smaller runs.
[costs.md](costs.md) has what depends on what there is on a host, and what a Zabbix server pays.
"""

_BARS = """\
## Goals

What the project asks of itself: most are distances from the least that a program could take that
does nothing but read what the kernel tells. None of these is a test: machines are too different for
that. For who asks a host once a minute the lines in seconds and in MB are what counts.

*iterator_records*, *netlink_receive*, *procnet_read* and *fd_readlink* are C programs that read
what a source reads, and do nothing with it; *netlink_rest* is what the iterator has no record of;
*interpreter_orjson* is Python, starting and importing orjson. *distinct* and *traffic* are the
loads of these names in the second picture. *Flat* compares the time of a socket above an empty
call, of the level where it is largest with that where it is least: processes and rows cost as much
at every level, so it falls as sockets become more.

| goal | at most or at least | measured | |
|---|---|---|---|
"""


def page(results: dict[str, Any]) -> str:
    """Return the page for the contents of bench.json."""
    machine = results["machine"]
    described = (
        f"{machine['cpus']} processors ({machine['processor']}), {machine['memory_bytes'] >> 30}"
        f" GB, Linux {machine['kernel']}, Python {machine['python']}"
    )
    product = results["product"]
    commit = f", commit {product['commit']}" if product["commit"] else ""
    parts = [
        _TOP.format(
            machine=described,
            date=results["time"][:10],
            version=product["version"].removeprefix("zabbix-sockets "),
            commit=commit,
            limit=results["slow_limit"],
        ),
        *map(_section, results["levels"]),
        _versions(results["peers"]),
        _BARS + "".join(map(_bar, results["bars"])),
    ]
    return "\n".join(parts)


def _section(level: dict[str, Any]) -> str:
    numbers = {name: f"{level[name]:,}" for name in ("sockets", "processes", "time_wait")}
    title = SCENARIOS[level["scenario"]].format(**numbers) if level["sockets"] else "No sockets"
    rows = (_row(name, level["figures"][name]) for name in WORDS if name in level["figures"])
    return f"## {title}\n\n| | seconds | CPU seconds | peak MB | to `get` by BPF |\n" + "\n".join(
        ("|---|---|---|---|---|", *filter(None, rows), "")
    )


def _row(name: str, figures: dict[str, Any]) -> str:
    """Return a line of a table; nothing of what is not there."""
    words = WORDS[name]
    if figures["status"] == "slow":
        least = figures["at_least_s"]
        said = f"more than {least}" if least else "not run: too slow with fewer"
        return f"| {words} | {said} | | | |"
    if figures["status"] != "ok":
        return ""
    ratio = figures["x_bpf"]
    cells = [
        words,
        _seconds(figures["wall_s"]),
        _seconds(figures["cpu_s"]),
        f"{figures['peak_bytes'] / 1e6:.0f}",
        "" if ratio is None or name == "bpf" else f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def _versions(peers: dict[str, str]) -> str:
    return f"The others: {'; '.join(_said(peers))}.\n"


def _said(peers: dict[str, str]) -> Iterator[str]:
    for name, version in peers.items():
        yield f"{name} {version}"


def _bar(bar: dict[str, Any]) -> str:
    sign = "≥" if bar["at_least"] else "≤"
    measured, unit = bar["measured"], f" {bar['unit']}" if bar["unit"] != "x" else ""
    if measured is None:
        return f"| {bar['what']} | {sign} {bar['limit']:g}{unit} | not measured | |\n"
    met = measured >= bar["limit"] if bar["at_least"] else measured <= bar["limit"]
    return (
        f"| {bar['what']} | {sign} {bar['limit']:g}{unit} | {measured:.3g}{unit}"
        f" | {'met' if met else '**missed**'} |\n"
    )


def main(arguments: Iterable[str]) -> None:
    """Run as a program."""
    result, folder = map(Path, arguments)
    (folder / "benchmarks.md").write_text(page(json.loads(result.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
