"""What can go wrong at a step, and which of it can at which.

A step is one call into the kernel: its function, what it is about, and how often that has come
before. So a step is found again in another run, whatever the threads do meanwhile.
"""

from __future__ import annotations

import errno
import re
from enum import Enum
from typing import NamedTuple

_PROCESS, _NUMBER = re.compile(r"/proc/(\d+)(/|$)"), re.compile(r"\d+")


class Step(NamedTuple):
    """One call into the kernel, in the caller's own process (*child* 0) or its child of a number.

    *place* are the two innermost functions of the package that make the call; empty where
    nobody needs to know them.
    """

    function: str
    label: str
    occurrence: int = 1
    child: int = 0
    place: str = ""

    @property
    def key(self) -> tuple[str, str, int, int]:
        """By what it is found again in another run."""
        return self[:4]

    @property
    def pid(self) -> int:
        """The process whose files it is about; 0: none's."""
        found = _PROCESS.match(self.label)
        return int(found[1]) if found else 0

    @property
    def site(self) -> tuple[str, str, bool]:
        """What steps have in common that the same line of code makes, or nearly so."""
        return self.function, _NUMBER.sub("N", self.label), bool(self.child)

    def __str__(self) -> str:
        """Return it for people."""
        where = f" in child {self.child}" if self.child else ""
        return f"{self.function} {self.label} #{self.occurrence}{where}"


class Effect(Enum):
    """What a fault does, where it is no error number."""

    MEMORY = "no memory"
    THREAD = "no thread"
    SHORT = "fewer bytes"  # the rest comes with the next read
    EMPTY = "no bytes"
    GARBAGE = "bytes that mean nothing"
    REFUSAL = "netlink's error message"
    ENDLESS = "the same again and again"
    DISK = "disk I/O error"
    FULL = "database or disk is full"
    LOCKED = "database is locked"
    DAMAGED = "database disk image is malformed"
    LATE = "the time is over when it comes back"
    GONE = "the process has ended"
    HANG = "it never comes back"
    KILL = "SIGKILL"
    CRASH = "SIGSEGV"


class Fault(NamedTuple):
    """What goes wrong: an error number, or another effect; *lasting*: from then on, always."""

    what: Effect | int
    lasting: bool = False

    @property
    def is_a_fact(self) -> bool:
        """Whether it says how the host is: it may go on so for ever, and is nobody's failure.

        A broken disk below a container's files is one, too; no descriptor or memory is none.
        """
        return self.what in _FACTS

    def __str__(self) -> str:
        """Return it for people."""
        name = self.what.value if isinstance(self.what, Effect) else errno.errorcode[self.what]
        return f"{name} from here on" if self.lasting else name


_FACTS = (
    *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.ESRCH, errno.ENXIO, errno.EPROTONOSUPPORT),
    *(errno.EIO, errno.ENAMETOOLONG, Effect.GONE, Effect.EMPTY, Effect.REFUSAL),
)
_ENDED = (errno.ENOENT, errno.ESRCH, errno.ENAMETOOLONG, Effect.GONE, Effect.EMPTY)
WAIT = "select"
"""A step at which a service begins to wait."""
_NO_DESCRIPTOR = Fault(errno.EMFILE, lasting=True)
_ERRORS: dict[str, tuple[int, ...]] = {
    "open": (errno.EMFILE, errno.EACCES, errno.ENOENT, errno.ENOMEM, errno.EIO),
    "read": (errno.EIO, errno.ENOMEM),
    "readv": (errno.EIO, errno.ENOMEM, errno.EFAULT),
    "write": (errno.ENOSPC, errno.EIO, errno.EPIPE),
    "listdir": (errno.EIO, errno.EACCES, errno.ENOENT, errno.ENOMEM),
    "scandir": (errno.EIO, errno.EACCES, errno.ENOENT),
    "stat": (errno.EACCES, errno.ENOENT, errno.EIO, errno.ENOMEM),
    "readlink": (errno.ENOENT, errno.EACCES, errno.ENAMETOOLONG, errno.ENOMEM),
    "access": (),
    "replace": (errno.ENOSPC, errno.EIO, errno.EROFS),
    "unlink": (errno.EIO, errno.EROFS),
    "mkdir": (errno.EACCES, errno.ENOSPC, errno.EROFS),
    "netlink": (errno.EPROTONOSUPPORT, errno.EACCES, errno.EMFILE, errno.ENOMEM),
    "send": (errno.ENOBUFS, errno.ECONNREFUSED, errno.ENOMEM),
    "recv": (errno.ENOBUFS, errno.ENOMEM),
    "if_indextoname": (errno.ENXIO, errno.EMFILE),
    "if_nametoindex": (errno.EMFILE,),
    "setns": (errno.EPERM, errno.EINVAL, errno.ENOMEM),
    "prlimit": (errno.EPERM, errno.ESRCH),
    "flock": (errno.ENOLCK, errno.EIO),
    "fork": (errno.EAGAIN, errno.ENOMEM),
    "pipe": (errno.EMFILE, errno.ENFILE),
    WAIT: (errno.ENOMEM,),
    "run": (errno.EAGAIN, errno.ENOMEM, errno.ENOENT, errno.EACCES),
}
_EFFECTS = {
    "thread": (Effect.THREAD,),
    "sqlite": (Effect.DISK, Effect.FULL, Effect.LOCKED, Effect.DAMAGED),
    "read": (Effect.SHORT,),
    "readv": (Effect.SHORT, Effect.GARBAGE),
    "recv": (Effect.SHORT, Effect.EMPTY, Effect.GARBAGE, Effect.REFUSAL, Effect.ENDLESS),
}
_OF_PROCESSES = {"open": (errno.ESRCH,), "read": (errno.ESRCH,), "listdir": (errno.ESRCH,)}
_NEVER = {
    r"/proc/((thread-)?self/|\d+$|\d+/cgroup$)": (errno.EACCES, errno.EIO),
    r"/proc/(thread-)?self/": (errno.ENOENT,),
}
"""What the kernel never says of files: it denies them to nobody, unless it hides the process."""
FATAL = (Effect.HANG, Effect.KILL, Effect.CRASH)


def faults_of(step: Step) -> list[Fault]:
    """Return all that can go wrong at *step* and lets the process live."""
    function = step.function
    never = {each for label, all_ in _NEVER.items() if re.match(label, step.label) for each in all_}
    faults = [Fault(number) for number in _ERRORS.get(function, ()) if number not in never]
    faults += [Fault(effect) for effect in _EFFECTS.get(function, ())]
    faults += [Fault(Effect.MEMORY), Fault(Effect.LATE)]
    if function in ("open", "netlink"):
        faults.append(_NO_DESCRIPTOR)
    if step.pid:
        faults += [Fault(number) for number in _OF_PROCESSES.get(function, ())]
        faults.append(Fault(Effect.GONE))
        if function == "read":
            faults += [Fault(Effect.EMPTY), Fault(Effect.GARBAGE)]
    return faults


class Trial(NamedTuple):
    """A step, and what goes wrong at it."""

    step: Step
    fault: Fault

    @property
    def is_an_end(self) -> bool:
        """Whether it says that a process is no more, or one of its descriptors no socket.

        A process that is being released has empty files; a link too long to be read is no
        socket's. Or there is no IPv6: then nothing of it is there, either.
        """
        has_ended = self.step.pid or self.step.label.endswith(("/tcp6", "/udp6"))
        return bool(has_ended) and self.fault.what in _ENDED

    @property
    def keeps_from_home(self) -> bool:
        """Whether a thread can't come back from another network namespace."""
        return self.step.function == "setns" and self.step.label == "home"
