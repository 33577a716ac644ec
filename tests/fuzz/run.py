"""The fuzzer: gives each target inputs for some time, and says how many, and what they found.

    python -m tests.fuzz.run [--seconds SECONDS] [--keep] [TARGET...]

All targets share the time, which is processor time, one after the other. atheris makes the inputs,
by the coverage of the package's code; a target's are kept in .cache/fuzz/TARGET/corpus, so that the
next run goes on from there, and what an input has found in .cache/fuzz/TARGET/findings, of each
fault the first one. With --keep the smallest inputs that cover all that theirs do are written to
tests/fuzz/corpus.

The status is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from .target import Finding, Target

_ROOT = Path(__file__).parents[2]
_CACHE = Path(os.environ.get("FUZZ_CACHE", _ROOT / ".cache/fuzz"))
_TARGETS = "tests.fuzz.targets"
_INSTRUMENTED = ["zabbix_sockets", "tests.fuzz.planted"]
_NOTHING = '{"count": 0, "faults": []}'
_FLAGS = ("-verbosity=0", "-print_final_stats=0", "-rss_limit_mb=2048", "-timeout=120")
"""Of libFuzzer: an input that takes two minutes, or has the process grow to 2 GB, ends it."""


def main() -> int:
    """Fuzz the targets named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--of", default=_TARGETS, help="the module of the targets")
    parser.add_argument("--one", help="fuzz this target, in this process")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    given = parser.parse_args()
    if given.one:
        _fuzz(given.of, given.one, given.seconds)
    names = given.targets or list(importlib.import_module(given.of).TARGETS)
    found = [_run(given.of, name, given.seconds / len(names)) for name in names]
    print(f"{'all':24}{sum(count for count, _ in found):12,} executions")
    if given.keep:
        from .corpus import keep  # noqa: PLC0415  # for this alone

        for name in names:
            keep(name, importlib.import_module(given.of).TARGETS[name], _CACHE / name / "corpus")
    return int(any(faults for _, faults in found))


def _run(module: str, name: str, seconds: float) -> tuple[int, int]:
    """Fuzz a target in a process of its own; print and return executions, and how many faults."""
    folder = _CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    statistics = folder / "statistics.json"
    statistics.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.run", "--of", module, "--one", name]
    with open(folder / "log", "w") as log:
        status = subprocess.run(
            [*command, "--seconds", f"{seconds}"],
            cwd=_ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    told = json.loads(statistics.read_text() if statistics.exists() else _NOTHING)
    count: int = told["count"]
    faults: list[str] = told["faults"] + (
        [f"ended with status {status}: see {log.name}"] if status else []
    )
    print(f"{name:24}{count:12,} executions", *faults, sep="\n    ", flush=True)
    return count, len(faults)


class _Fuzzing:
    """Attempts at one target, until the time is over; then the process ends."""

    def __init__(self, name: str, target: Target, seconds: float) -> None:
        self._folder = _CACHE / name
        self._target = target
        self._seconds = seconds
        self._end = self._next = 0.0
        self._count = 0
        self._faults: list[str] = []

    def corpus(self, inputs: list[bytes]) -> str:
        """Return the folder of inputs, to which *inputs* are added."""
        folder = self._folder / "corpus"
        folder.mkdir(parents=True, exist_ok=True)
        for data in inputs:
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)  # as libFuzzer's are called
        return str(folder)

    def attempt(self, data: bytes) -> None:
        """Give an input to the target; end the process if it was the last one."""
        from .target import attempt  # noqa: PLC0415  # the package is instrumented by then

        found = attempt(self._target, data)
        self._count += 1
        if found and found.what not in self._faults:
            self._note(found, data)
        now = process_time()
        self._end = self._end or now + self._seconds
        if now >= self._next:
            self._next = now + 1
            self._tell()
        if now >= self._end:
            self._tell()
            os._exit(0)

    def _note(self, found: Finding, data: bytes) -> None:
        self._faults.append(found.what)
        folder = self._folder / "findings"
        folder.mkdir(exist_ok=True)
        path = folder / hashlib.sha1(found.what.encode()).hexdigest()[:12]
        path.write_bytes(data)
        path.with_suffix(".txt").write_text(f"{found.what}\n\n{found.trace}\n", errors="replace")

    def _tell(self) -> None:
        told = {"count": self._count, "faults": self._faults}
        (self._folder / "statistics.json").write_text(json.dumps(told))


def _fuzz(module: str, name: str, seconds: float) -> NoReturn:
    """Fuzz one target until the time is over, and end the process."""
    import atheris  # noqa: PLC0415  # it is for few machines

    with atheris.instrument_imports(include=_INSTRUMENTED):  # some are imported when first used
        target: Target = importlib.import_module(module).TARGETS[name]
        fuzzing = _Fuzzing(name, target, seconds)
        corpus = fuzzing.corpus(target.inputs(name))
        flags = (*_FLAGS, f"-max_len={target.longest}", f"-artifact_prefix={_CACHE / name}/")
        atheris.Setup([sys.argv[0], *flags, corpus], fuzzing.attempt)
        atheris.Fuzz()
    sys.exit("it ended by itself")


if __name__ == "__main__":
    sys.exit(main())
