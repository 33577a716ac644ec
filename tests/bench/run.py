"""Measures `get` beside its peers and its lower bounds; see README.md."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[0] = str(ROOT)  # the files beside this one go by the names mypy and pytest know them by

# ruff: noqa: E402
from tests.bench import bars, candidates, report, rounds
from tests.bench.candidates import BEFORE, Candidate, Version
from tests.bench.isolate import run_isolated
from tests.bench.iterators import pinned, product_pinned
from tests.bench.load import MAX_PROCESSES, MAX_SOCKETS, Load, LoadError
from tests.bench.measure import Launcher, MeasureError, compile_programs
from tests.bench.progress import Progress
from tests.bench.results import Figures, Level
from tests.bench.scenarios import NAMES, Stage, stages
from tests.bench.time_wait_load import TimeWait


@dataclasses.dataclass
class Options:
    """What the command line says."""

    levels: list[int]
    million: bool
    scenario: list[str]
    processes: int
    repeat: int
    only: list[str]
    slow_limit: int
    output: Path
    page: bool
    python: str
    against: str


class Bench:
    """One run over all levels and scenarios."""

    def __init__(
        self, options: Options, directory: Path, now: Version, before: Version | None
    ) -> None:
        self._options = options
        self._progress = Progress()
        programs = compile_programs(directory)
        self._walk = programs["fd_readlink"]
        self._launcher = Launcher(programs["launch"], directory, options.slow_limit)
        known = candidates.candidates(now, before, programs)
        self._candidates = _chosen(known, options.only)
        self._slow: dict[str, int] = {}  # at how many sockets
        self.levels: list[Level] = []

    def run(self) -> bool:
        """Measure and print one after the other; False, with what is complete, after Ctrl-C."""
        options = self._options
        for stage in stages(
            options.levels, options.scenario, options.processes, million=options.million
        ):
            try:
                level = self._measure(stage)
            except LoadError as exc:
                self._progress.clear()
                print(f"{stage}: {exc}", file=sys.stderr)
                return False
            except KeyboardInterrupt:
                self._progress.clear()
                print("interrupted", file=sys.stderr)
                return False
            self.levels.append(level)
            self._progress.clear()
            print(report.table(self.levels, level), end="\n\n", flush=True)
        return True

    def _measure(self, stage: Stage) -> Level:
        shape, sockets = stage.shape, stage.sockets
        with Load(shape, self._opening(stage)) if shape else nullcontext():
            runnable = [
                each for each in self._here(stage) if not self._too_slow(each.name, sockets)
            ]
            slab = rounds.warm_up(self._walk, self._launcher)
            others = rounds.Others()
            prepare = TimeWait(stage.time_wait).fill if stage.time_wait else None
            measured = rounds.measure(
                runnable, stage, self._options.repeat, self._launcher, self._progress.show, prepare
            )
            others_cpus = others.cpus()
        if not stage.scenario:
            slow = [name for name, figures in measured.items() if figures.status == "slow"]
            self._slow |= dict.fromkeys(slow, sockets)
        ordered = {
            each.name: measured.get(each.name) or self._not_run(each.name)
            for each in self._here(stage)
        }
        processes = shape.processes if shape else 0
        return Level(
            sockets, processes, slab, others_cpus, ordered, stage.scenario, stage.time_wait
        )

    def _here(self, stage: Stage) -> list[Candidate]:
        return [each for each in self._candidates if each.runs(stage.scenario, stage.sockets)]

    def _too_slow(self, name: str, sockets: int) -> bool:
        return name in self._slow and sockets >= self._slow[name]

    def _not_run(self, name: str) -> Figures:
        return Figures(name, "slow", note=f"too slow at {self._slow[name]:,}")

    def _opening(self, stage: Stage) -> Callable[[int, int], None]:
        def show(done: int, total: int) -> None:
            self._progress.show(f"opening {stage}", f"{done} of {total} processes are ready")

        return show


def _chosen(known: Sequence[Candidate], only: Sequence[str]) -> list[Candidate]:
    """Those that are asked for, with the version before, their bounds, the bare interpreter."""
    if unknown := set(only) - {each.name for each in known}:
        raise MeasureError(f"no such candidate: {', '.join(sorted(unknown))}")
    wanted = {candidates.INTERPRETER, *only}
    for each in known:
        if each.name in only:
            wanted |= {f"{each.name}{BEFORE}", *each.bounds, *each.bounds_of_a_million}
    return [each for each in known if not only or each.name in wanted]


def _write(options: Options, levels: Sequence[Level], reached: Sequence[bars.Bar]) -> None:
    """Write the JSON file, and its pictures where there is matplotlib; the page if it is wanted."""
    target = options.output / "bench.json"
    document = {
        "version": 2,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "product": {"version": _first_line(options.python, "-m", "zabbix_sockets", "--version")}
        | {"commit": _first_line("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")},
        "machine": {
            "kernel": platform.release(),
            "architecture": platform.machine(),
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "python": platform.python_version(),
        },
        "peers": candidates.versions(options.python),
        "slow_limit": options.slow_limit,
        "levels": [report.level_as_json(levels, level) for level in levels],
        "bars": [dataclasses.asdict(bar) for bar in reached],
    }
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"\n{target}")
    folder = ROOT / "docs" if options.page else options.output
    # A process of its own, so that matplotlib does not weigh on what is measured.
    for program, *arguments in (
        ("plot.py", str(target), str(folder / "images" if options.page else folder)),
        *([("page.py", str(target), str(folder))] if options.page else []),
    ):
        command = [sys.executable, str(HERE / program), *arguments]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            print(f"nothing by {program}: {made.stderr.splitlines()[-1]}")


def _first_line(*command: str) -> str:
    """Return the first line that a command prints, or nothing if it can't."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.partition("\n")[0] if done.returncode == 0 else ""


def _processor() -> str:
    """Return the processor's name, as the kernel has it."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _levels(text: str) -> list[int]:
    levels = sorted({int(level) for level in text.split(",")})
    if not 0 <= levels[0] <= levels[-1] <= MAX_SOCKETS:
        raise argparse.ArgumentTypeError(f"not between 0 and {MAX_SOCKETS:,}: {text}")
    return levels


def _scenarios(text: str) -> list[str]:
    scenarios = text.split(",")
    if unknown := set(scenarios) - set(NAMES):
        raise argparse.ArgumentTypeError(f"no such scenario: {', '.join(sorted(unknown))}")
    return scenarios


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--levels", type=_levels, default=[0, 1_000, 10_000, 100_000], help="numbers of sockets")
    add("--million", action="store_true", help="1,000,000 sockets, too: gigabytes and minutes")
    add("--scenario", type=_scenarios, default=[], help=f"also: {', '.join(NAMES)}")
    add("--processes", type=int, default=200, help="how many hold the sockets of a level")
    add("--repeat", type=int, default=5, help="rounds; slow candidates take part in fewer")
    add("--only", type=lambda text: text.split(","), default=[], help="names, see the table")
    add("--slow-limit", type=int, default=30, help="seconds after which a run is ended")
    add("--output", type=Path, default=ROOT / ".cache" / "bench", help="a directory")
    add("--page", action="store_true", help="all of docs/benchmarks.md, which is made anew")
    add("--python", default=sys.executable, help="the interpreter that has zabbix_sockets")
    add("--against", default="", help="the interpreter of another version, to compare with")
    options = Options(**vars(parser.parse_args()))
    if options.against and not candidates.has_product(options.against):
        parser.error(f"--against: no zabbix_sockets in {options.against}")
    if options.page:
        options.million, options.scenario = True, list(NAMES)
    if options.million:
        options.levels = sorted({*options.levels, MAX_SOCKETS})
    if not (0 < options.processes <= MAX_PROCESSES and options.repeat > 0 < options.slow_limit):
        parser.error("--processes, --repeat or --slow-limit is out of bounds")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        parser.error(f"--output: {exc}")
    return options


@contextmanager
def _versions(options: Options, directory: Path) -> Iterator[tuple[Version, Version | None]]:
    """What is measured and what it is compared with, each with pins of its own."""
    with pinned(options.python, directory) as pins:
        now = Version(options.python, pins)
        if not options.against:
            yield now, None
            return
        with product_pinned(options.against, directory / "bpf_before") as pins_before:
            yield now, Version(options.against, pins_before)


def _bench(options: Options) -> int:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        try:
            with _versions(options, directory) as (now, before):
                bench = Bench(options, directory, now, before)
                complete = bench.run()
        except MeasureError as exc:
            print(exc, file=sys.stderr)
            return 1
    reached = list(bars.bars(bench.levels))
    print(*reached, sep="\n")
    _write(options, bench.levels, reached)
    return 0 if complete else 1


def main() -> int:
    """Measure in namespaces of its own; return 0 if all levels were, whatever the bars say."""
    options = _options()
    return run_isolated(lambda: _bench(options))


if __name__ == "__main__":
    raise SystemExit(main())
