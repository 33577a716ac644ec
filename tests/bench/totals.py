"""Measures what it costs to count connections in the kernel, with and without in turn.

    python tests/bench/totals.py [PAIRS [CONNECTIONS]]

Needs root, and the package in the Python that runs it. PAIRS (80) times, `connections` opens and
closes CONNECTIONS (4,000) of them over loopback, and asks as often on one that it keeps: once with
totals, once with the iterators alone, in changing order, in a network namespace of its own. Printed
are the medians of the processor time, and the mean of the differences with its standard error.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from zabbix_sockets.readers.bpf import pins

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Measure and print."""
    pairs, connections = (*map(int, sys.argv[1:3]), *(80, 4000)[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory() as folder:
        program, pinned = Path(folder, "connections"), str(Path(folder, "pins"))
        subprocess.run(["cc", "-O2", "-o", program, HERE / "connections.c"], check=True)
        os.mkdir(pinned)
        taken: dict[str, dict[bool, list[float]]] = {
            what: {True: [], False: []} for what in ("a connection", "a request on a kept one")
        }
        try:
            for pair in range(pairs):
                for counted in (True, False) if pair % 2 else (False, True):
                    pins.load(pinned, "root", with_totals=counted)
                    for what, kept in zip(taken, ((), ("kept",)), strict=True):
                        taken[what][counted].append(_run(program, str(connections), *kept))
        finally:
            pins.unload(pinned)
    for what, each in taken.items():
        _tell(what, each[True], each[False])


def _run(program: Path, *arguments: str) -> float:
    """Return the microseconds that each connection took, or each request."""
    command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']
    found = subprocess.run(
        [*command, program, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return float(found.stdout) / 1000


def _tell(what: str, counted: list[float], not_counted: list[float]) -> None:
    """Print the figures of the runs with and without totals."""
    differences = [one - other for one, other in zip(counted, not_counted, strict=True)]
    usual = statistics.median(not_counted)
    mean = statistics.mean(differences)
    error = statistics.stdev(differences) / len(differences) ** 0.5
    print(f"{what}: {usual:.2f} us without, {statistics.median(counted):.2f} us with totals")
    print(
        f"more by {mean:.2f} us ({100 * mean / usual:.1f} %), standard error {error:.2f} us,"
        f" median {statistics.median(differences):.2f} us, {len(differences)} pairs"
    )


if __name__ == "__main__":
    main()
