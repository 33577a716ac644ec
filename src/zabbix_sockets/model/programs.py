"""Names of processes: each is called by its program, with a name that lasts over upgrades.

Nearly all processes are called what the kernel calls them: comm (proc(5)), the base name of the
file they began with. But comm is the name of the main thread, and programs write into it what
they like: a title with a version, a state or a role; a path; what the thread does.
"""

from _collections_abc import Callable

from zabbix_sockets.model.light_library import cache, lru_cache
from zabbix_sockets.model.light_typing import Any, NamedTuple, Optional
from zabbix_sockets.model.names import safe_name

COMM_MAX = 15  # TASK_COMM_LEN less the closing NUL
_ARGUMENTS_TRIED = 3  # "#!/usr/bin/python3 -u" makes comm from the third

THREADS = frozenset(
    (
        b"MainThread",  # Node.js since 2025
        b"node-MainThread",  # Node.js, later in 2025
        b"main",  # ustreamer, pdns-r/main of PowerDNS, and many small programs
        b"Main",  # Mumble's server
        b"MainThrd",  # servers made with Source
        b"GameThread",  # servers made with Unreal Engine
        b"cache-main",  # Varnish
    )
)
"""Names (comm) of main threads that say nothing of their program."""

FieldReader = Callable[[], Optional[bytes]]
"""Returns the bytes of a field of a process, such as its command line.

None: it may not be read, or the process is gone."""


class ProgramName(NamedTuple):
    """A process's name, safe to print.

    Unless *certain*, something that may decide it could not be read.
    """

    name: str
    certain: bool


def program_name(comm: bytes, command_line: FieldReader, executable: FieldReader) -> ProgramName:
    """Return the name of a process whose main thread is called *comm*, cut at 15 bytes.

    *command_line* returns its arguments as /proc/PID/cmdline has them, or their beginning;
    *executable* the file that it executes, with or without its folder. Each is called only
    where it may decide. The first rule that holds gives the name:

    1. A title is called what stands before what changes in it: before ": ", " (" or " [",
       before a space and a version, an option, or "master", "worker", "child" or "parent".
       So "puma 6.4.2 (tcp://" is puma, "gunicorn: worker" gunicorn; a "[" in front goes, too.
    2. A comm of 15 bytes is completed, since the kernel cut it there: from one of the first
       arguments that begins with it, or the last part of whose path does. What that gives is
       a title, or the name ends at a space or a colon.
    3. A comm with a "/" that an argument begins with is a path and what follows it:
       "/usr/sbin/postgrey --inet=10023" is called by the last part of the path. If no argument
       begins with it, it is taken for a path only if it begins with "/", and gives way to the
       executable.
    4. What only names a thread (THREADS, also behind a "/") gives way to the executable, too.
    5. All others are called by comm.

    The executable gives its file's name; but python3.11 is called python3 if argv[0] says so:
    that lasts. Without a name of its file there is argv[0] up to a space, and without that comm.
    """
    told = name_by_comm(comm)
    if told:
        return told
    process = _Process(command_line, executable)
    return ProgramName(safe_name(_name(comm, process)), process.certain)


@lru_cache(1024)  # processes of a host have few names
def name_by_comm(comm: bytes) -> Optional[ProgramName]:
    """Return the name of a process whose *comm* decides it, as that of most; else None."""
    if len(comm) >= COMM_MAX or comm in THREADS or b" " in comm or b"/" in comm:
        return None
    return ProgramName(safe_name(comm), certain=True)


class _Process:
    """The fields of a process besides comm, each read once; one that can't be read is empty.

    Attributes:
        certain: all fields that were asked for could be read.
    """

    def __init__(self, command_line: FieldReader, executable: FieldReader) -> None:
        self.certain = True
        self._command_line = command_line
        self._executable = executable
        self._arguments: Optional[list[bytes]] = None  # no cache: it would keep this object alive

    def _checked(self, field: Optional[bytes]) -> bytes:
        if field is None:
            self.certain = False
            return b""
        return field

    def arguments(self) -> list[bytes]:
        """Return the first three arguments, or fewer; one that is empty where there is none."""
        if self._arguments is None:
            read = self._checked(self._command_line())
            self._arguments = read.split(b"\0", _ARGUMENTS_TRIED)[:_ARGUMENTS_TRIED]
        return self._arguments

    def executable(self) -> bytes:
        """Return the name of the file without its folder; b"" where it has none or isn't known."""
        return executable_name(self._checked(self._executable()))


def _name(comm: bytes, process: _Process) -> bytes:
    title = _before_changes(comm)
    if b"/" in title or (title == comm and len(comm) >= COMM_MAX):
        completed = _completed(comm, process.arguments())
        if completed:
            title = _before_changes(completed)
            if b"/" in comm:
                title = title.split(b" ", 1)[0].rsplit(b"/", 1)[-1]
                return title or _by_executable(comm, process)
            if title == completed:
                title = _first_word(completed)
        elif comm.startswith(b"/"):
            return _by_executable(comm, process)
    names_thread = title.rsplit(b"/", 1)[-1] in THREADS
    return _by_executable(comm, process) if names_thread else title


@cache
def _changes() -> Any:
    """Return the re.Pattern[bytes] of rule 1 of program_name(), compiled when first needed."""
    import re  # noqa: PLC0415  # takes 3 ms, with enum

    version = rb"v?\d+(?:\.\d+)+"
    return re.compile(
        rb"(?<=[^ ])(?:(?:-" + version + rb")?: |"
        rb" +(?:[(\[]|" + version + rb"|v\d+\b|--?[A-Za-z]|(?:master|worker|child|parent)\b))"
    )


def _before_changes(title: bytes) -> bytes:
    """Return the part of *title* before what changes in it; all of it if nothing does."""
    found = _changes().search(title)
    return (title[: found.start()].removeprefix(b"[") if found else b"") or title


def _completed(comm: bytes, arguments: list[bytes]) -> bytes:
    """Return the first argument, or last part of an argument's path, that begins with *comm*.

    It is b"" if there is none.
    """
    for argument in arguments:
        for name in (argument, argument.rsplit(b"/", 1)[-1]):
            if name.startswith(comm):
                return name
    return b""


def _first_word(name: bytes) -> bytes:
    """Return *name* up to the first space, colon or line feed behind its first 15 bytes."""
    ends = (name.find(mark, COMM_MAX) for mark in (b" ", b":", b"\n"))
    return name[: min((end for end in ends if end > 0), default=len(name))]


def _by_executable(comm: bytes, process: _Process) -> bytes:
    name = process.executable()
    if name and not name[-1:].isdigit():
        return name
    called = process.arguments()[0].split(b" ", 1)[0].rsplit(b"/", 1)[-1]
    if not name:
        return called or comm
    version = name[len(called) :] if called and name.startswith(called) else b""
    digits = version[1:] if version[:1] in (b"-", b".") else version
    is_version = digits[:1].isdigit() and digits.replace(b".", b"").isdigit()
    return called if is_version else name


def executable_name(path: bytes) -> bytes:
    """Return the name of an executable file without its folder; b"" if it has none any more.

    *path* is what /proc/PID/exe links to, or the last part of it. A file that was replaced or
    removed has " (deleted)" behind it there; one that memfd_create(2) made, "memfd:" before it;
    one that was removed on NFS is called ".nfs" and a number.
    """
    while path.endswith(b" (deleted)"):  # also the file's own: the iterator doesn't add any
        path = path.removesuffix(b" (deleted)")
    name = path.rsplit(b"/", 1)[-1].removeprefix(b"memfd:")
    return b"" if name.startswith(b".nfs") else name
