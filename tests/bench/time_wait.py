"""Measures what sockets in TIME_WAIT cost a call, alone and beside established connections.

    python tests/bench/time_wait.py [--time-wait 50000] [--established 0] [--against PYTHON]

Needs root and a C compiler; runs in namespaces of its own. README.md says what is printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])  # as run.py does

# ruff: noqa: E402
from tests.bench.isolate import run_isolated
from tests.bench.iterators import product_pinned
from tests.bench.load import Load, Shape
from tests.bench.measure import Launcher, MeasureError, Outcome, compile_programs
from tests.bench.time_wait_load import TimeWait, in_time_wait

EVERYTHING = 30  # seconds after which a call is ended
MB = 1 << 20

Command = tuple[str, ...]


def commands(python: str, pins: str, suffix: str = "") -> dict[str, Command]:
    """Return the calls of one version of the product."""
    get = (python, "-I", "-m", "zabbix_sockets", "get", "--timeout", str(EVERYTHING))
    return {
        f"bpf{suffix}": (*get, "--source", "bpf", "--pins", pins),
        f"sock_diag{suffix}": (*get, "--source", "sock_diag"),
    }


@contextmanager
def versions(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Command]]:
    """Pin the iterators of each version, and return all calls to measure."""
    with ExitStack() as stack:
        calls: dict[str, Command] = {}
        pythons = {"": options.python, "_before": options.against}
        for suffix, python in pythons.items():
            if python:
                pins = stack.enter_context(product_pinned(python, folder / f"pins{suffix}"))
                if pins.product:
                    raise MeasureError(pins.product)
                calls |= commands(python, pins.folder, suffix)
        yield calls | {"ss_tanH": ("ss", "-tanH")}


Taken = dict[str, list[Outcome]]


def turns(
    calls: dict[str, Command], launcher: Launcher, repeat: int, made: TimeWait | None
) -> tuple[Taken, list[int]]:
    """Let the calls take turns; return what each took, and how many were in TIME_WAIT meanwhile."""
    taken: Taken = {name: [] for name in calls}
    present = []
    for turn in range(repeat):
        if made:
            made.fill()
        names = list(calls)
        for name in names if turn % 2 else reversed(names):
            present.append(in_time_wait())
            outcome = launcher.run(calls[name], keep_output=False)
            if outcome.code:
                raise MeasureError(f"{name}: {outcome.first_line}")
            taken[name].append(outcome)
    return taken, present


def tell(title: str, taken: Taken, present: Sequence[int]) -> None:
    """Print what the calls took, and how many sockets there were."""
    print(f"{title}; in TIME_WAIT {min(present):,} to {max(present):,}")
    tell_times(taken)


def tell_times(taken: Taken) -> None:
    """Print the medians of wall and processor time, and the highest peak."""
    print(f"  {'':18}{'wall ms':>9}{'least':>8}{'CPU ms':>9}{'least':>8}{'peak MB':>9}")
    for name, outcomes in taken.items():
        walls, cpus = ([1000 * each for each in column(outcomes, of)] for of in ("wall", "cpu"))
        peak = max(each.peak_bytes for each in outcomes) / MB
        print(
            f"  {name:18}{statistics.median(walls):9.0f}{min(walls):8.0f}"
            f"{statistics.median(cpus):9.0f}{min(cpus):8.0f}{peak:9.1f}"
        )


def column(outcomes: Sequence[Outcome], of: str) -> list[float]:
    """Return one figure of each outcome."""
    return [getattr(each, of) for each in outcomes]


def measure(options: argparse.Namespace) -> int:
    """Measure without sockets in TIME_WAIT, then with them, beside the established ones."""
    shape = Shape(options.established) if options.established else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        launcher = Launcher(compile_programs(folder)["launch"], folder, EVERYTHING)
        with Load(shape) if shape else nullcontext(), versions(options, folder) as calls:
            title = f"{options.established:,} established"
            tell(title, *turns(calls, launcher, options.repeat, None))
            made = TimeWait(options.time_wait)
            tell(title, *turns(calls, launcher, options.repeat, made))
    return 0


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Measure what sockets in TIME_WAIT cost.")
    parser.add_argument("--time-wait", type=int, default=50_000)
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
