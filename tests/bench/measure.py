"""Runs one command and says what it took."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
AS_CALLER = -1


class MeasureError(Exception):
    """Nothing can be measured on this machine; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of a command took, and what it said.

    Attributes:
        code: The exit code, minus the signal's number, or None for a run ended for its length.
        wall: Seconds from fork to the end.
        cpu: Seconds of user and system time.
        peak_bytes: The largest resident set.
        output: Stdout; empty when it was not kept.
        errors: Stderr.
    """

    code: int | None
    wall: float
    cpu: float
    peak_bytes: int
    output: str
    errors: str

    @property
    def first_line(self) -> str:
        """What a run that failed has to say for itself."""
        lines = (self.errors + "\n" + self.output).split("\n")
        return next((line.strip() for line in lines if line.strip()), "")


def compile_programs(directory: Path) -> dict[str, str]:
    """Compile the launcher and the bounds; return their paths by name."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise MeasureError("no C compiler: apt-get install gcc libc6-dev")
    programs = {}
    bounds = [each for each in (HERE / "bounds").glob("*.c") if not each.name.endswith(".bpf.c")]
    for source in [HERE / "launch.c", *sorted(bounds)]:
        program = directory / source.stem
        command = [compiler, "-O2", "-o", str(program), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MeasureError(f"{source.name} does not compile: {done.stderr}")
        programs[source.stem] = str(program)
    return programs


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts commands, each for at most *limit* seconds, with their output in *directory*."""

    program: str
    directory: Path
    limit: int

    def run(self, command: Sequence[str], *, keep_output: bool, uid: int = AS_CALLER) -> Outcome:
        """Run *command* to its end, as user *uid*, which takes root; see launch.c."""
        output = self.directory / "stdout" if keep_output else Path(os.devnull)
        errors = self.directory / "stderr"
        launch = [self.program, str(self.limit), str(uid), str(output), str(errors), *command]
        done = subprocess.run(launch, capture_output=True, text=True, check=True)
        status, wall, user, system, peak = done.stdout.split()
        return Outcome(
            code=None if status == "late" else int(status),
            wall=int(wall) / 1e9,
            cpu=(int(user) + int(system)) / 1e6,
            peak_bytes=int(peak) * 1024,
            output=output.read_text(errors="replace") if keep_output else "",
            errors=errors.read_text(errors="replace"),
        )
