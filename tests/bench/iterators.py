"""Pins the product's BPF iterators and the bounds' in a bpffs of the bench's own."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORD_SIZE = "from zabbix_sockets.readers.bpf.records import RECORD; print(RECORD.size)"

_libc = ctypes.CDLL(None, use_errno=True)


class PinError(Exception):
    """Something can't be pinned here; the message is a note for the table."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What is pinned in *folder*.

    Attributes:
        folder: A bpffs.
        product: Why the product's iterators are not there; empty if they are.
        bounds: Why the bounds' iterators are not there; empty if they are.
        record_size: The bytes of a record, of both.
    """

    folder: str
    product: str = ""
    bounds: str = ""
    record_size: int = 0


@contextmanager
def pinned(python: str, directory: Path) -> Iterator[Pins]:
    """Pin the product's iterators and the bounds' while the context lasts, below *directory*."""
    with product_pinned(python, directory / "bpf") as pins:
        if not pins.folder:
            yield replace(pins, bounds=pins.product)
            return
        try:
            size = int(_run([python, "-I", "-c", RECORD_SIZE]))
            _pin_bounds(directory, Path(pins.folder), size)
        except PinError as exc:
            yield replace(pins, bounds=str(exc))
        else:
            yield replace(pins, record_size=size)


@contextmanager
def product_pinned(python: str, folder: Path, *options: str) -> Iterator[Pins]:
    """Pin the iterators of *python*'s zabbix_sockets alone, in a new bpffs at *folder*.

    *options* are those of `load`. Without the privilege to mount a bpffs there is no folder, and
    `product` says why.
    """
    folder.mkdir()
    folder = folder.resolve()
    if _libc.mount(b"bpf", os.fsencode(folder), b"bpf", 0, b"mode=0755"):
        yield Pins("", f"no bpffs: {os.strerror(ctypes.get_errno())}")
        return
    verb = (python, "-I", "-m", "zabbix_sockets")
    try:
        why_not = _why_not([*verb, "load", "--pins", str(folder), *options])
        yield Pins(str(folder), why_not)
        if not why_not:
            _run([*verb, "unload", "--pins", str(folder)])
    finally:
        _libc.umount2(os.fsencode(folder), 0)


def _pin_bounds(directory: Path, folder: Path, size: int) -> None:
    """Compile and pin bounds/iterate.bpf.c, with records of *size* bytes."""
    headers = f"/usr/include/{os.uname().machine}-linux-gnu"  # asm/types.h of Debian
    target = ("-target", "bpf", "-mcpu=v3", "-idirafter", headers, f"-DRECORD_SIZE={size}")
    programs, loader = directory / "iterate.bpf.o", directory / "pin"
    source = str(HERE / "bounds" / "iterate.bpf.c")
    _compile(["clang", "-O2", "-g", *target, "-c", "-o", str(programs), source])
    _compile(["cc", "-O2", "-o", str(loader), str(HERE / "pin.c"), "-lbpf"])
    _run([str(loader), str(programs), str(folder)])


def _compile(command: Sequence[str]) -> None:
    if not shutil.which(command[0]):
        raise PinError(f"no {command[0]}: apt-get install clang gcc libbpf-dev")
    _run(command)


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = f"{done.stderr}\n{done.stdout}".split("\n")
        said = next((line for line in lines if line.strip()), f"exit code {done.returncode}")
        raise PinError(f"{Path(command[0]).name}: {said.strip()[:200]}")
    return done.stdout


def _why_not(command: Sequence[str]) -> str:
    try:
        _run(command)
    except PinError as exc:
        return str(exc)
    return ""
