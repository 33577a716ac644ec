"""Measures what a filter that keeps 1 % of the sockets saves, side by side.

    .venv/bin/python tests/bench/filters.py

As root it runs in namespaces of its own; see README.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.isolate import run_isolated
from tests.bench.load import PORTS_BASE, Load, Shape
from zabbix_sockets.collector.filtered.selection import Selection
from zabbix_sockets.collector.sources import choose
from zabbix_sockets.collector.table_readers import rows_of
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.snapshot import Query
from zabbix_sockets.model.wire import TABLES
from zabbix_sockets.readers.proc.mounts import Mounts

COMMAND = (sys.executable, "-I", "-m", "zabbix_sockets")
TIMEOUT = "600"
CALLS = {
    "show sockets, sock_diag": ("show", "sockets", "--json", "--source", "sock_diag"),
    "show sockets, bpf": ("show", "sockets", "--json", "--source", "bpf"),
    "get, sock_diag": ("get", "--source", "sock_diag"),
    "get, bpf": ("get", "--source", "bpf"),
}
DUMP, DECIDED_HERE = "dump", "dump, decided here"


def expression(processes: int, share: float) -> str:
    """Return a filter for both ends of this share of the connections; the lowest ports' ones."""
    count = max(1, round(processes * share))
    last = PORTS_BASE + count - 1
    return " or ".join(f"({end} >= {PORTS_BASE} and {end} <= {last})" for end in ("sport", "dport"))


def dump(chosen: str) -> int:
    """Receive and decode all tables by netlink; return how many rows there were."""
    query = Query("sock_diag", float(TIMEOUT), netns="own", filter=chosen)
    deadline, rows = Deadline(query.timeout), 0
    mounts = Mounts(query.proc, deadline)
    with choose(query) as plan:
        for table in TABLES:
            if chosen:
                opened = Selection(query, mounts).read(plan, table, deadline, tcp_info=False)
                rows += sum(len(list(batch)) for _, batch in opened.batches)
            else:
                batches = plan.open(rows_of(table, deadline)).batches
                rows += sum(len(list(batch)) for batch in batches)
    return rows


def call(arguments: Sequence[str], chosen: str) -> int:
    """Run the command; return how many sockets its answer has."""
    chosen_by = ("--filter", chosen) if chosen else ()
    command = [*COMMAND, *arguments, "--netns", "own", "--timeout", TIMEOUT, *chosen_by]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return len(answer) if isinstance(answer, list) else int(answer["collector"]["sockets"])


def measure(options: argparse.Namespace) -> int:
    """Take turns under one load, and print the medians."""
    with Load(Shape(options.sockets, options.processes)):
        chosen = expression(options.processes, options.share)
        here = f"({chosen}) or pid 1"  # of which the kernel can decide nothing
        works: dict[str, tuple[Callable[[], int], Callable[[], int]]] = {
            DUMP: (partial(dump, ""), partial(dump, chosen)),
            DECIDED_HERE: (partial(dump, ""), partial(dump, here)),
        }
        for name, arguments in CALLS.items():
            works[name] = partial(call, arguments, ""), partial(call, arguments, chosen)
        seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in works}
        sockets: dict[str, tuple[int, int]] = {}
        for _ in range(options.repeat):
            for name, pair in works.items():
                counts = []
                for work, times in zip(pair, seconds[name], strict=True):
                    started = time.perf_counter()
                    counts.append(work())
                    times.append(time.perf_counter() - started)
                sockets[name] = counts[0], counts[1]
    print(f"{'':26}{'sockets':>9}{'of these':>9}{'all ms':>9}{'chosen ms':>10}{'times':>7}")
    for name, (all_times, chosen_times) in seconds.items():
        whole, part = (1000 * statistics.median(times) for times in (all_times, chosen_times))
        before, after = sockets[name]
        print(f"{name:26}{before:9,}{after:9,}{whole:9.0f}{part:10.0f}{whole / part:7.1f}")
    return 0


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Measure what a filter saves.")
    parser.add_argument("--sockets", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--share", type=float, default=0.01, help="of the sockets, to keep")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    return run_isolated(lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
