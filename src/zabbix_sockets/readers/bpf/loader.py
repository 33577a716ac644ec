"""Loader of the BPF objects, by libbpf through ctypes: loads, attaches and pins their programs.

Source: libbpf's libbpf.h and libbpf_legacy.h; so.1 (1.0 and later) and so.0, which gives
errors as pointers. Needs CAP_BPF and CAP_PERFMON, and /sys/kernel/btf/vmlinux. Nothing else
in this package touches libbpf, and a call that reads a pinned iterator does without.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import sys
import time
from _collections_abc import Sequence
from types import TracebackType

from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.readers.bpf import totals
from zabbix_sockets.readers.bpf.records import (
    COUNT_MINISOCKS,
    COUNT_SOCKETS,
    PROGRAMS,
    why_kernel_cannot,
)

LIBRARIES = ("libbpf.so.1", "libbpf.so.0")
"""The names of libbpf, newest first."""
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_WARN = 0  # LIBBPF_WARN
_MESSAGE_SIZE = 1 << 16
_CONSTANTS = struct.Struct("=III4x24s")  # constants of record.bpf.h
_COARSE = 6  # CLOCK_MONOTONIC_COARSE: it goes on at each tick of the kernel
KERNEL_TYPES = "/sys/kernel/btf/vmlinux"  # by which programs are fitted to the kernel
_SINCE_0_5 = "btf__load_from_kernel_by_id"  # a function that came with btf_custom_path
_BTF_UNREADABLE = "failed to find valid kernel BTF"  # what an old libbpf says to a newer kernel


def object_path(name: str = "sockets") -> str:
    """Return the path of the compiled object of *name* (build.sh) for this machine's byte order."""
    order = "el" if sys.byteorder == "little" else "eb"
    folder = os.path.dirname(os.path.abspath(__file__))
    return f"{folder}/{name}.bpf{order}.o"


def _open_library() -> ctypes.CDLL:
    """Return libbpf, with the result types of the functions that give pointers.

    Raises:
        SourceUnavailableError: it is not on this host.
    """
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name, use_errno=True)
        except OSError:
            continue
        for function in (
            "bpf_object__open_mem",
            "bpf_object__find_map_by_name",
            "bpf_object__find_program_by_name",
            "bpf_program__attach",
            "bpf_program__attach_iter",
        ):
            getattr(library, function).restype = ctypes.c_void_p
        library.libbpf_get_error.restype = ctypes.c_long
        return library
    raise SourceUnavailableError("no libbpf on this host (Debian: apt install libbpf1)")


class _OpenOptions(ctypes.Structure):
    """The beginning of struct bpf_object_open_opts; the object's name begins those of its maps.

    With *btf_custom_path* libbpf looks for the kernel's types there alone. Else it also asks for
    those of modules, if a type isn't there that only other kernels have: that takes CAP_SYS_ADMIN,
    and up to libbpf 1.1 being refused is an error.
    """

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("object_name", ctypes.c_char_p),
        ("relaxed_maps", ctypes.c_bool),
        ("pin_root_path", ctypes.c_char_p),
        ("attach_prog_fd", ctypes.c_uint32),
        ("kconfig", ctypes.c_char_p),
        ("btf_custom_path", ctypes.c_char_p),
    )


class _MapToVisit(ctypes.Structure):
    """The map of union bpf_iter_link_info."""

    _fields_ = (("map_fd", ctypes.c_uint32),)


class _IteratorOptions(ctypes.Structure):
    """struct bpf_iter_attach_opts."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("link_info", ctypes.POINTER(_MapToVisit)),
        ("link_info_len", ctypes.c_uint32),
    )


class _KeptInput:
    """A context at whose end descriptor 0 is what it was.

    libbpf 0.3 closes it with an object that it could not load, whatever it is by then: standard
    input, or the next file that was opened.
    """

    def __enter__(self) -> None:
        self._kept: int | None = None
        try:
            self._inheritable = os.get_inheritable(0)
            self._kept = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
        except OSError:
            return  # it is closed, or there is no descriptor left

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            os.dup2(self._kept, 0, self._inheritable)
            os.close(self._kept)


class LoadedPrograms:
    """Programs, loaded and attached; at the end of its context they are let go of.

    The verifier takes milliseconds for each program. So only *programs* are loaded at once, and
    any other one when it is opened.

    Raises:
        SourceUnavailableError: libbpf or the kernel refused; libbpf's words are in it.
    """

    def __init__(self, programs: Sequence[str] = PROGRAMS) -> None:
        self._library = _open_library()
        self._messages: list[str] = []
        self._objects: list[int] = []
        self._links: dict[str, int] = {}
        self._print = _PRINT(self._keep_message)  # must live as long as libbpf may call it
        try:
            self._load(programs)
        except BaseException:
            self.close()
            raise

    def _load(self, programs: Sequence[str]) -> None:
        """Load and attach *programs*; libbpf's warnings are kept for the error meanwhile."""
        before = self._set_print(self._print)
        try:
            _, loaded = self._load_object("sockets", PROGRAMS, programs)
            for name in programs:
                self._links[name] = self._attach_iterator(name, loaded[name])
        finally:
            self._set_print(before)

    def load_minisocks(self) -> None:
        """Load and attach the iterator of sockets without a file.

        Raises:
            SourceUnavailableError: libbpf or the kernel refused; what was loaded before is as it
                was.
        """
        name, before = COUNT_MINISOCKS, self._set_print(self._print)
        try:
            _, loaded = self._load_object("minisocks", (name,), (name,))
            self._links[name] = self._attach_iterator(name, loaded[name])
        finally:
            self._set_print(before)

    def load_totals(self) -> None:
        """Load and attach the programs that count, and the iterator of sockets that goes with them.

        That takes the place of the one that was loaded. They count from now on; what open
        connections carried, too, once that iterator has been read to its end.

        Raises:
            SourceUnavailableError: libbpf or the kernel refused; what was loaded before is as it
                was.
        """
        before, links = self._set_print(self._print), {}
        try:
            opened, loaded = self._load_counting()
            for name in totals.TRACEPOINTS:
                attached = self._library.bpf_program__attach(ctypes.c_void_p(loaded[name]))
                links[name] = self._checked(f"attach {name}", attached)
            for name, visited in totals.MAPS.items():
                links[name] = self._attach_iterator(name, loaded[name], self._map(opened, visited))
            links[COUNT_SOCKETS] = self._attach_iterator(COUNT_SOCKETS, loaded[COUNT_SOCKETS])
        except BaseException:
            self._let_go(links)
            raise
        finally:
            self._set_print(before)
        replaced = {name: self._links.pop(name) for name in links.keys() & self._links.keys()}
        self._links.update(links)
        self._let_go(replaced)

    def _load_counting(self) -> tuple[int, dict[str, int]]:
        """Load the programs of totals.bpf.c; where they are refused those that need no exchange.

        Raises:
            SourceUnavailableError: both are refused; it says why.
        """
        names = totals.PROGRAMS
        try:
            return self._load_object("totals", names, names)
        except SourceUnavailableError as error:
            self._messages.clear()  # they were about the usual object
            try:
                return self._load_object("totals", names, names, totals.WITHOUT_EXCHANGE)
            except SourceUnavailableError as other:
                if str(other) == str(error):
                    raise
                message = f"{error}; and those without atomic exchange: {other}"
                hints = filter(None, (error.hint, other.hint))
                raise SourceUnavailableError(message, "; then: ".join(hints)) from None

    def _attach_iterator(self, name: str, program: int, visited: int | None = None) -> int:
        """Return libbpf's pointer to the link of an iterator: over tasks or the map *visited*."""
        options = None
        if visited is not None:
            descriptor = self._library.bpf_map__fd(ctypes.c_void_p(visited))
            info = _MapToVisit(descriptor)
            size = ctypes.sizeof(_IteratorOptions), ctypes.sizeof(_MapToVisit)
            options = ctypes.byref(_IteratorOptions(size[0], ctypes.pointer(info), size[1]))
        attach = self._library.bpf_program__attach_iter
        return self._checked(f"attach {name}", attach(ctypes.c_void_p(program), options))

    def _set_print(self, function: object) -> object:
        set_print = self._library.libbpf_set_print
        set_print.restype = _PRINT
        return set_print(function)

    def _keep_message(self, level: int, text: bytes, arguments: int) -> int:
        if level == _WARN:
            buffer = ctypes.create_string_buffer(_MESSAGE_SIZE)
            ctypes.CDLL(None).vsnprintf(
                buffer, ctypes.c_size_t(_MESSAGE_SIZE), text, ctypes.c_void_p(arguments)
            )
            self._messages.append(buffer.value.decode("utf-8", "replace"))
        return 0

    def _load_object(
        self, source: str, names: Sequence[str], wanted: Sequence[str], variant: str = ""
    ) -> tuple[int, dict[str, int]]:
        """Load the *wanted* programs of the object of *source*.bpf.c, which has those of *names*.

        Return libbpf's pointers to the object and to its programs. *variant* is the name of another
        object of that source, as build.sh makes it.
        """
        library = self._library
        with open(object_path(variant or source), "rb") as file:
            data = file.read()
        options = _OpenOptions(ctypes.sizeof(_OpenOptions), source.encode())
        if hasattr(library, _SINCE_0_5) and os.path.exists(KERNEL_TYPES):
            options.btf_custom_path = KERNEL_TYPES.encode()
        opened = self._checked(
            "open the BPF object",
            library.bpf_object__open_mem(data, ctypes.c_size_t(len(data)), ctypes.byref(options)),
        )
        self._objects.append(opened)
        if source != "minisocks":
            self._set_constants(opened, source)
        programs = {name: self._program(opened, name) for name in names}
        for name, program in programs.items():
            library.bpf_program__set_autoload(
                ctypes.c_void_p(program), ctypes.c_bool(name in wanted)
            )
        with _KeptInput():
            refused = library.bpf_object__load(ctypes.c_void_p(opened))
        if refused:
            raise self._refused("load the BPF programs", ctypes.get_errno())
        return opened, programs

    def _program(self, opened: int, name: str) -> int:
        """Return libbpf's pointer to a program of an object that is opened."""
        return self._checked(
            f"find {name}",
            self._library.bpf_object__find_program_by_name(ctypes.c_void_p(opened), name.encode()),
        )

    def _map(self, opened: int, name: str) -> int:
        """Return libbpf's pointer to a map of an object that is opened."""
        return self._checked(
            f"find {name}",
            self._library.bpf_object__find_map_by_name(ctypes.c_void_p(opened), name.encode()),
        )

    def _set_constants(self, opened: int, source: str) -> None:
        """Set the programs' constants: the kernel's HZ, and random numbers (record.bpf.h)."""
        hz = round(1 / time.clock_getres(_COARSE))
        data = _CONSTANTS.pack(hz, os.O_APPEND, os.O_NONBLOCK, os.urandom(24))
        if self._library.bpf_map__set_initial_value(
            ctypes.c_void_p(self._map(opened, f"{source}.rodata")),
            ctypes.create_string_buffer(data, len(data)),
            ctypes.c_size_t(len(data)),
        ):
            raise self._refused("set the constants", ctypes.get_errno())

    def _checked(self, action: str, pointer: int | None) -> int:
        """Return *pointer*, which libbpf gave for *action*, unless it stands for an error.

        libbpf.so.0 gives an error number as a pointer, so.1 NULL and sets errno.

        Raises:
            SourceUnavailableError: it does.
        """
        error = -self._library.libbpf_get_error(ctypes.c_void_p(pointer))
        if error or not pointer:
            raise self._refused(action, error or ctypes.get_errno())
        return pointer

    def _refused(self, action: str, error: int) -> SourceUnavailableError:
        said = " ".join(" ".join(self._messages).split())
        reason = why_kernel_cannot()
        if _BTF_UNREADABLE in said:
            reason = "this libbpf is too old for the kernel: libbpf 1.x is needed"
        because = f" ({reason})" if reason else ""
        return SourceUnavailableError(
            f"can't {action}: {self._words_of(error)}{because}", _last_words(said) if said else ""
        )

    def _words_of(self, error: int) -> str:
        """Return an error in words: libbpf 0.x has numbers of its own beside the system's."""
        words = ctypes.create_string_buffer(256)
        self._library.libbpf_strerror(error, words, ctypes.c_size_t(len(words)))
        return words.value.decode("utf-8", "replace")

    def open(self, program: str) -> int:
        """Return a new descriptor, from which the records of *program* can be read once.

        A program of sockets.bpf.c that is not loaded yet is loaded first.

        Raises:
            SourceUnavailableError: it could not be loaded.
            OSError: the kernel refused. FileNotFoundError: it is another one that is not loaded.
        """
        if program not in self._links and program not in PROGRAMS:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
        if program not in self._links:
            self._load((program,))
        link = ctypes.c_void_p(self._links[program])
        fd: int = self._library.bpf_iter_create(self._library.bpf_link__fd(link))
        if fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), program)
        return fd

    def pin(self, program: str, path: str) -> None:
        """Pin the link of *program* at *path*, in a bpffs.

        Raises:
            OSError: the kernel refused; ENOENT or EPERM also where *path* is in no bpffs.
        """
        link = ctypes.c_void_p(self._links[program])
        if self._library.bpf_link__pin(link, os.fsencode(path)):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), path)

    def close(self) -> None:
        """Detach and unload the programs, but for those that are pinned."""
        self._let_go(self._links)
        with _KeptInput():
            while self._objects:
                self._library.bpf_object__close(ctypes.c_void_p(self._objects.pop()))

    def _let_go(self, links: dict[str, int]) -> None:
        """Detach the programs of *links*, but for those that are pinned, and empty it."""
        while links:
            _, link = links.popitem()
            self._library.bpf_link__destroy(ctypes.c_void_p(link))

    def __enter__(self) -> LoadedPrograms:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _last_words(said: str) -> str:
    """Return a hint with the last 1000 characters of libbpf's messages: the verifier's verdict."""
    limit = 1000
    return f"libbpf: ...{said[-limit:]}" if len(said) > limit else f"libbpf: {said}"
