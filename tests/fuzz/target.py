"""A target of the fuzzer, and one attempt at it: what may come out, and how much it may take.

Whatever bytes a target is given, only errors that it names may come out, within bounds of time and
memory that are far above what any input takes: who exceeds them has found a way to stop a call.
"""

from __future__ import annotations

import atexit
import resource
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from time import process_time
from typing import NamedTuple

from zabbix_sockets.model.errors import ParseError, SocketsError

SECONDS = 5.0
"""The most processor time of one input, instrumented and on a slow machine; most take none to
speak of, the slowest known some tens of milliseconds."""
KILOBYTES = 256 * 1024
"""The most by which one input may raise the peak of the process's memory."""

CORPUS = Path(__file__).with_name("corpus")
"""The folder of inputs that have reached something new: of each target a file of its name, in which
each line is a literal of bytes."""


class Target(NamedTuple):
    """Something that bytes of others are given to.

    Attributes:
        run: gives it the bytes; what it returns doesn't matter. It asserts what has to hold.
        seeds: returns valid inputs, or nearly valid ones.
        allowed: the errors that may come out.
        longest: the most bytes of an input that the fuzzer makes.
    """

    run: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    allowed: tuple[type[Exception], ...] = (SocketsError,)
    longest: int = 4096

    def inputs(self, name: str) -> list[bytes]:
        """Return the seeds, and what the corpus has for the target of that name."""
        return [*self.seeds(), *corpus_of(name)]


PARSES = (ParseError,)
"""The errors of a decoder of the kernel's words."""


class Finding(NamedTuple):
    """What an input has brought out that may not be.

    Attributes:
        what: in one line, the same for the same fault.
        trace: where.
    """

    what: str
    trace: str = ""


def corpus_of(name: str) -> list[bytes]:
    """Return the inputs of the corpus for the target of that name."""
    from ast import literal_eval  # noqa: PLC0415  # for this alone

    path = CORPUS / name
    lines = path.read_text("ascii").splitlines() if path.exists() else []
    return [bytes(literal_eval(line)) for line in lines]


def attempt(target: Target, data: bytes) -> Finding | None:
    """Give *data* to a target; return what may not be, None: all is well."""
    memory, begun = _peak(), process_time()
    try:
        target.run(data)
    except target.allowed:
        pass
    except Exception as error:  # noqa: BLE001  # that is what is looked for
        return Finding(f"{type(error).__name__} {_place(error)}", traceback.format_exc())
    seconds, kilobytes = process_time() - begun, _peak() - memory
    if seconds > SECONDS:
        return Finding(f"more than {SECONDS:g} s", f"{seconds:.1f} s")
    if kilobytes > KILOBYTES:
        return Finding(f"more than {KILOBYTES} KB", f"{kilobytes} KB")
    return None


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _place(error: Exception) -> str:
    """Return the innermost place in the package, or else at all, where an error was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    within = [each for each in frames if "zabbix_sockets" in each.filename] or list(frames)
    return f"{Path(within[-1].filename).name}:{within[-1].lineno}"


@cache
def folder() -> str:
    """Return a folder in memory for what targets read from files; it goes with the process."""
    made = tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def written(name: str, data: bytes) -> str:
    """Return the path of a file of that name in the folder, which has *data* now."""
    path = f"{folder()}/{name}"
    with open(path, "wb") as file:
        file.write(data)
    return path


def pieces(data: bytes, count: int) -> list[bytes]:
    """Return the *count* pieces of *data* between 0xFF bytes; those that it lacks are empty."""
    found = data.split(b"\xff", count - 1)
    return found + [b""] * (count - len(found))
