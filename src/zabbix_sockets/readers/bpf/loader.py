"""Loader of the BPF object, by libbpf through ctypes: loads, attaches and pins the iterators.

Source: libbpf's libbpf.h and libbpf_legacy.h; so.1 (1.0 and later) and so.0, which gives
errors as pointers. Needs CAP_BPF and CAP_PERFMON, and /sys/kernel/btf/vmlinux. Nothing else
in this package touches libbpf, and a call that reads a pinned iterator does without.
"""

import ctypes
import os
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.readers.bpf.records import PROGRAMS, why_kernel_cannot

_NAMES = ("libbpf.so.1", "libbpf.so.0")
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_WARN = 0  # LIBBPF_WARN
_MESSAGE_SIZE = 1 << 16
_COARSE = 6  # CLOCK_MONOTONIC_COARSE: it goes on at each tick of the kernel
_BTF_UNREADABLE = "failed to find valid kernel BTF"  # what an old libbpf says to a newer kernel


def object_path() -> str:
    """Return the path of the compiled object for this machine's byte order."""
    order = "el" if sys.byteorder == "little" else "eb"
    folder = os.path.dirname(os.path.abspath(__file__))
    return f"{folder}/sockets.bpf{order}.o"


def _open_library() -> ctypes.CDLL:
    """Return libbpf, with the result types of the functions that give pointers.

    Raises:
        SourceUnavailableError: it is not on this host.
    """
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name, use_errno=True)
        except OSError:
            continue
        for function in (
            "bpf_object__open_mem",
            "bpf_object__find_map_by_name",
            "bpf_object__find_program_by_name",
            "bpf_program__attach_iter",
        ):
            getattr(library, function).restype = ctypes.c_void_p
        library.libbpf_get_error.restype = ctypes.c_long
        return library
    raise SourceUnavailableError("no libbpf on this host (Debian: apt install libbpf1)")


class _OpenOptions(ctypes.Structure):
    """The beginning of struct bpf_object_open_opts; the object's name begins those of its maps."""

    _fields_ = (("sz", ctypes.c_size_t), ("object_name", ctypes.c_char_p))


class LoadedPrograms:
    """Iterators, loaded and attached; at the end of its context they are let go of.

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
            loaded = self._load_object(programs)
            for name in programs:
                self._links[name] = self._checked(
                    f"attach {name}",
                    self._library.bpf_program__attach_iter(ctypes.c_void_p(loaded[name]), None),
                )
        finally:
            self._set_print(before)

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

    def _load_object(self, wanted: Sequence[str]) -> dict[str, int]:
        """Load the *wanted* programs of a new BPF object, and return libbpf's pointers to them."""
        library = self._library
        with open(object_path(), "rb") as file:
            data = file.read()
        options = _OpenOptions(ctypes.sizeof(_OpenOptions), b"sockets")
        opened = self._checked(
            "open the BPF object",
            library.bpf_object__open_mem(data, ctypes.c_size_t(len(data)), ctypes.byref(options)),
        )
        self._objects.append(opened)
        self._set_ticks(opened, round(1 / time.clock_getres(_COARSE)))
        programs = {name: self._program(opened, name) for name in PROGRAMS}
        for name, program in programs.items():
            library.bpf_program__set_autoload(
                ctypes.c_void_p(program), ctypes.c_bool(name in wanted)
            )
        if library.bpf_object__load(ctypes.c_void_p(opened)):
            raise self._refused("load the BPF programs", ctypes.get_errno())
        return programs

    def _program(self, opened: int, name: str) -> int:
        """Return libbpf's pointer to a program of an object that is opened."""
        return self._checked(
            f"find {name}",
            self._library.bpf_object__find_program_by_name(ctypes.c_void_p(opened), name.encode()),
        )

    def _set_ticks(self, opened: int, per_second: int) -> None:
        """Tell the programs the kernel's HZ, their one constant."""
        library, name = self._library, b"sockets.rodata"
        constants = self._checked(
            "find the constants",
            library.bpf_object__find_map_by_name(ctypes.c_void_p(opened), name),
        )
        value = ctypes.c_uint32(per_second)
        if library.bpf_map__set_initial_value(
            ctypes.c_void_p(constants), ctypes.byref(value), ctypes.c_size_t(4)
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
            f"can't {action}: {os.strerror(error)}{because}", _last_words(said) if said else ""
        )

    def open(self, program: str) -> int:
        """Return a new descriptor, from which the records of *program* can be read once.

        A program that is not loaded yet is loaded first.

        Raises:
            SourceUnavailableError: it could not be loaded.
            OSError: the kernel refused.
        """
        if program not in self._links:
            self._load((program,))
        link = ctypes.c_void_p(self._links[program])
        fd: int = self._library.bpf_iter_create(self._library.bpf_link__fd(link))
        if fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), program)
        return fd

    def pin(self, program: str, path: str) -> None:
        """Pin *program*'s iterator at *path*, in a bpffs.

        Raises:
            OSError: the kernel refused; ENOENT or EPERM also where *path* is in no bpffs.
        """
        link = ctypes.c_void_p(self._links[program])
        if self._library.bpf_link__pin(link, os.fsencode(path)):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), path)

    def close(self) -> None:
        """Detach and unload the programs, but for those that are pinned."""
        while self._links:
            _, link = self._links.popitem()
            self._library.bpf_link__destroy(ctypes.c_void_p(link))
        while self._objects:
            self._library.bpf_object__close(ctypes.c_void_p(self._objects.pop()))

    def __enter__(self) -> Self:
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
