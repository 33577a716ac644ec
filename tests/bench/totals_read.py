"""Measures what it costs a call to read what the kernel has counted.

    python tests/bench/totals_read.py [--sockets 100000] [--keys 1000] [--repeat 15] [--wait 610]

Needs root and a C compiler; runs in namespaces of its own. README.md says what is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])  # as run.py does

# ruff: noqa: E402
from tests.bench.candidates import product
from tests.bench.isolate import run_isolated
from tests.bench.iterators import product_pinned
from tests.bench.load import Load, Shape
from tests.bench.measure import Launcher, MeasureError, compile_programs
from tests.bench.time_wait import EVERYTHING, Command, Taken, column, tell_times, turns

WITH, WITHOUT = "with_totals", "without_totals"
LISTENERS_BASE = 0x7F020000  # 127.2.0.0
FIRST_PORT = 1024


def commands(python: str, pins: dict[str, str]) -> dict[str, Command]:
    """Return a call for each folder of pins, by its name."""
    get = ("get", "--source", "bpf", "--timeout", str(EVERYTHING))
    return {name: product(python, *get, "--pins", folder) for name, folder in pins.items()}


def make_keys(number: int) -> None:
    """Open and close a connection for every two keys: a listener's and an upstream's."""
    for at in range(number // 2):
        address = socket.inet_ntoa((LISTENERS_BASE + at // 250).to_bytes(4, "big"))
        with socket.create_server((address, FIRST_PORT + at % 250)) as server:
            client = socket.create_connection(server.getsockname())
            server.accept()[0].close()
            client.close()


def counted_keys(command: Command) -> int:
    """Return how many keys there are, as a document tells it."""
    document = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    if "totals" not in document["collector"]:
        raise MeasureError(f"nothing is counted: {document['collector'].get('warnings')}")
    keys: int = document["collector"]["totals"]["keys"]
    return keys


def tell(title: str, taken: Taken) -> None:
    """Print what the calls took, and how much more with totals, in each round."""
    print(title)
    tell_times(taken)
    for of in ("wall", "cpu"):
        pairs = list(zip(column(taken[WITH], of), column(taken[WITHOUT], of), strict=True))
        more = [1000 * (one - other) for one, other in pairs]
        ratio = statistics.median(one / other for one, other in pairs)
        low, _, high = statistics.quantiles(more, n=4)
        print(
            f"  {of:4} with totals: {statistics.median(more):+.1f} ms ({low:+.1f} to {high:+.1f}),"
            f" {ratio:.3f} times"
        )


def measure(options: argparse.Namespace) -> int:
    """Measure with keys of what is gone alone, then with a load."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        os.chmod(folder, 0o755)
        launcher = Launcher(compile_programs(folder)["launch"], folder, EVERYTHING)
        pins = {}
        for each, load_options in ((WITH, ()), (WITHOUT, ("--no-totals",))):
            found = stack.enter_context(
                product_pinned(options.python, folder / each, *load_options)
            )
            if found.product:
                raise MeasureError(found.product)
            pins[each] = found.folder
        calls = commands(options.python, pins)
        # So that a process has a row: what every such host pays is in all figures then.
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stack.enter_context(socket.create_connection(server.getsockname()))
        _tell(options, launcher, calls, "one connection")
        make_keys(options.keys)
        more = f"{options.keys:,} keys more, of which nothing is open"
        _tell(options, launcher, calls, more)
        if options.wait:
            time.sleep(options.wait)
            _tell(options, launcher, calls, f"{more}, {options.wait} seconds later")
        with Load(Shape(options.sockets)):
            _tell(options, launcher, calls, f"{options.sockets:,} sockets")
    return 0


def _tell(
    options: argparse.Namespace, launcher: Launcher, calls: dict[str, Command], title: str
) -> None:
    """Let the calls take turns, after one of each that doesn't count, and print the outcome."""
    turns(calls, launcher, 1, None)
    keys = counted_keys(calls[WITH])
    taken, _ = turns(calls, launcher, options.repeat, None)
    tell(f"{title}; keys of processes and listeners: {keys:,}", taken)


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Measure what it costs to read totals.")
    parser.add_argument("--sockets", type=int, default=100_000)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--wait", type=int, default=0, help="then, again, so many seconds later")
    parser.add_argument("--python", default=sys.executable, help="that has zabbix_sockets")
    options = parser.parse_args()
    try:
        return run_isolated(lambda: measure(options))
    except MeasureError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
