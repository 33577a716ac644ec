"""Measures what unix sockets cost a call, alone and beside established connections.

    python tests/bench/unix_sockets.py [--unix 18000] [--established 0] [--against PYTHON]

Needs root and a C compiler; runs in namespaces of its own. README.md says what is printed.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])  # as run.py does

# ruff: noqa: E402
from tests.bench.isolate import run_isolated
from tests.bench.load import Load, Shape
from tests.bench.measure import Launcher, MeasureError, compile_programs
from tests.bench.time_wait import EVERYTHING, Taken, tell_times, turns, versions

PROCESSES = 60
"""Each listens, and holds both ends of its connections."""


@contextmanager
def connected(sockets: int, folder: Path) -> Iterator[None]:
    """Have so many connected unix sockets; their processes end with this one."""
    pids = []
    try:
        for number in range(PROCESSES):
            ready, write = os.pipe()
            pid = os.fork()
            if not pid:
                _hold(sockets // PROCESSES // 2, folder / f"{number}.sock", write)
            os.close(write)
            pids.append(pid)
            with os.fdopen(ready, "rb") as pipe:
                if pipe.read(1) != b"r":
                    raise MeasureError("the unix sockets could not be made")
        yield
    finally:
        for pid in pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


def _hold(pairs: int, path: Path, ready: int) -> None:
    """Connect so many times to oneself, tell it, and wait for the end; never return."""
    try:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)
        kept = []
        for _ in range(pairs):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(path))
            kept += [client, listener.accept()[0]]
        os.write(ready, b"r")
        listener.accept()
    finally:
        os._exit(1)


def unix_sockets() -> int:
    """Return the number of connected unix sockets of this network namespace."""
    return sum(line.split()[5] == "03" for line in Path("/proc/net/unix").read_text().splitlines())


def tell(title: str, taken: Taken) -> None:
    """Print what the calls took, and how many sockets there are."""
    print(f"{title}; connected unix sockets: {unix_sockets():,}")
    tell_times(taken)


def measure(options: argparse.Namespace) -> int:
    """Measure without unix sockets, then with them, beside the established connections."""
    shape = Shape(options.established) if options.established else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        launcher = Launcher(compile_programs(folder)["launch"], folder, EVERYTHING)
        with Load(shape) if shape else nullcontext(), versions(options, folder) as found:
            calls = {each: call for each, call in found.items() if not each.startswith("ss")}
            calls["ss_xanp"] = ("ss", "-xanp")
            title = f"{options.established:,} established"
            tell(title, turns(calls, launcher, options.repeat, None)[0])
            with connected(options.unix, folder):
                tell(title, turns(calls, launcher, options.repeat, None)[0])
    return 0


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Measure what unix sockets cost.")
    parser.add_argument("--unix", type=int, default=18_000)
    parser.add_argument("--established", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--python", default=sys.executable, help="that has zabbix_sockets")
    parser.add_argument("--against", default="", help="that has another version of it")
    options = parser.parse_args()
    try:
        return run_isolated(lambda: measure(options))
    except MeasureError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
