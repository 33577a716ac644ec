"""Measures `get` beside its peers and its lower bounds; see README.md."""

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[0] = str(ROOT)  # the files beside this one go by the names mypy and pytest know them by

# ruff: noqa: E402
from tests.bench import candidates, report, rounds
from tests.bench.candidates import Candidate
from tests.bench.isolate import run_isolated
from tests.bench.load import MAX_PROCESSES, MAX_SOCKETS, Load, LoadError, Shape
from tests.bench.measure import Launcher, MeasureError, compile_programs
from tests.bench.progress import Progress
from tests.bench.results import Figures, Level


@dataclasses.dataclass
class Options:
    """What the command line says."""

    levels: list[int]
    million: bool
    processes: int
    distinct_upstreams: bool
    shared: bool
    repeat: int
    only: list[str]
    slow_limit: int
    output: Path
    python: str


class Bench:
    """One run over all levels."""

    def __init__(self, options: Options, directory: Path) -> None:
        self._options = options
        self._progress = Progress()
        programs = compile_programs(directory)
        self._walk = programs["fd_readlink"]
        self._launcher = Launcher(programs["launch"], directory, options.slow_limit)
        self._candidates = _chosen(candidates.candidates(options.python, programs), options.only)
        self._slow: dict[str, Figures] = {}
        self.levels: list[Level] = []

    def run(self) -> bool:
        """Measure and print level after level; False, with what is complete, after Ctrl-C."""
        for sockets in self._options.levels:
            try:
                level = self._measure(sockets)
            except LoadError as exc:
                self._progress.clear()
                print(f"{sockets:,} sockets: {exc}", file=sys.stderr)
                return False
            except KeyboardInterrupt:
                self._progress.clear()
                print("interrupted", file=sys.stderr)
                return False
            self.levels.append(level)
            self._progress.clear()
            print(report.table(self.levels, level), end="\n\n", flush=True)
        return True

    def _measure(self, sockets: int) -> Level:
        options = self._options
        shape = Shape(
            sockets,
            options.processes,
            distinct_upstreams=options.distinct_upstreams,
            shared=options.shared,
        )
        with Load(shape, self._opening(sockets)) if sockets else nullcontext():
            runnable = [each for each in self._candidates if each.name not in self._slow]
            slab = rounds.warm_up(self._walk, self._launcher)
            measured = rounds.measure(
                runnable, sockets, options.repeat, self._launcher, self._progress.show
            )
        figures = self._slow | measured
        ordered = {each.name: figures[each.name] for each in self._candidates}
        self._note_slow(sockets, measured)
        return Level(sockets, options.processes if sockets else 0, slab, ordered)

    def _note_slow(self, sockets: int, measured: dict[str, Figures]) -> None:
        for name, figures in measured.items():
            if figures.status == "slow":
                self._slow[name] = Figures(name, "slow", note=f"too slow at {sockets:,}")

    def _opening(self, sockets: int) -> Callable[[int, int], None]:
        def show(done: int, total: int) -> None:
            detail = f"{done} of {total} processes are ready"
            self._progress.show(f"opening {sockets:,} sockets", detail)

        return show


def _chosen(known: Sequence[Candidate], only: Sequence[str]) -> list[Candidate]:
    """Those that are asked for, with their bounds and the bare interpreter."""
    if unknown := set(only) - {each.name for each in known}:
        raise MeasureError(f"no such candidate: {', '.join(sorted(unknown))}")
    wanted = {candidates.INTERPRETER, *only}
    wanted |= {bound for each in known if each.name in only for bound in each.bounds}
    return [each for each in known if not only or each.name in wanted]


def _write(options: Options, levels: Sequence[Level], bars: Sequence[report.Bar]) -> None:
    """Write the JSON file, and the picture of it where there is matplotlib."""
    target = options.output / "bench.json"
    document = {
        "version": 1,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "kernel": platform.release(),
            "architecture": platform.machine(),
            "cpus": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "python": platform.python_version(),
        },
        "load": {
            "distinct_upstreams": options.distinct_upstreams,
            "shared": options.shared,
        },
        "levels": [report.level_as_json(levels, level) for level in levels],
        "bars": [str(bar) for bar in bars],
    }
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"\n{target}")
    # A process of its own, so that matplotlib does not weigh on what is measured.
    picture = target.with_suffix(".png")
    command = [sys.executable, str(HERE / "plot.py"), str(target), str(picture)]
    drawn = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"no picture: {drawn.stderr.splitlines()[-1]}" if drawn.returncode else picture)


def _levels(text: str) -> list[int]:
    levels = sorted({int(level) for level in text.split(",")})
    if not 0 <= levels[0] <= levels[-1] <= MAX_SOCKETS:
        raise argparse.ArgumentTypeError(f"not between 0 and {MAX_SOCKETS:,}: {text}")
    return levels


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--levels", type=_levels, default=[0, 1_000, 10_000, 100_000], help="numbers of sockets")
    add("--million", action="store_true", help="1,000,000 sockets, too: gigabytes and minutes")
    add("--processes", type=int, default=200, help="how many hold the sockets")
    add("--distinct-upstreams", action="store_true", help="a remote address for each connection")
    add("--shared", action="store_true", help="all processes hold all sockets")
    add("--repeat", type=int, default=5, help="rounds; slow candidates take part in fewer")
    add("--only", type=lambda text: text.split(","), default=[], help="names, see the table")
    add("--slow-limit", type=int, default=30, help="seconds after which a run is ended")
    add("--output", type=Path, default=ROOT / ".cache" / "bench", help="a directory")
    add("--python", default=sys.executable, help="the interpreter that has zabbix_sockets")
    options = Options(**vars(parser.parse_args()))
    if options.million:
        options.levels = sorted({*options.levels, MAX_SOCKETS})
    if not (0 < options.processes <= MAX_PROCESSES and options.repeat > 0 < options.slow_limit):
        parser.error("--processes, --repeat or --slow-limit is out of bounds")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        parser.error(f"--output: {exc}")
    return options


def _bench(options: Options) -> int:
    with tempfile.TemporaryDirectory() as directory:
        try:
            bench = Bench(options, Path(directory))
        except MeasureError as exc:
            print(exc, file=sys.stderr)
            return 1
        complete = bench.run()
    bars = list(report.bars(bench.levels))
    print(*bars, sep="\n")
    _write(options, bench.levels, bars)
    return 0 if complete else 1


def main() -> int:
    """Measure in namespaces of its own; return 0 if all levels were, whatever the bars say."""
    options = _options()
    return run_isolated(lambda: _bench(options))


if __name__ == "__main__":
    raise SystemExit(main())
