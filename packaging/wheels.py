"""The wheels of wheels.txt: orjson for each Python that a host may have, and tomli for old ones."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PINNED = Path(__file__).with_name("wheels.txt")
PYTHONS = tuple(f"3.{minor}" for minor in range(9, 15))
"""The versions of CPython that a host may have."""

_LINE = re.compile(r'(\w+)==([\w.]+) ; python_version (<|>=) "3\.(\d+)"')
_MANYLINUX = ("manylinux_2_17", "manylinux2014")  # two names of one ABI (PEP 600): glibc 2.17


class Pin(NamedTuple):
    """A line of wheels.txt.

    Attributes:
        name: the project.
        version: the one to take.
        before: whether it is for the Pythons before 3.*minor*, or for that one and later ones.
        minor: where they part.
        hashes: SHA-256 of the wheels that may be taken.
    """

    name: str
    version: str
    before: bool
    minor: int
    hashes: frozenset[str]

    def fits(self, python: str) -> bool:
        """Whether it is for this version of Python."""
        return (int(python.partition(".")[2]) < self.minor) == self.before


class Wheel(NamedTuple):
    """A wheel's files below the folder that its package is imported from, and its licences."""

    pin: Pin
    files: dict[str, bytes]
    licences: dict[str, bytes]


def pins() -> Iterator[Pin]:
    """Yield the lines of wheels.txt."""
    text = PINNED.read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            name, version, comparison, minor = match.groups()
            hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
            yield Pin(name, version, comparison == "<", int(minor), hashes)


def wheels_for(python: str, machine: str, cache: Path) -> list[Wheel]:
    """Return the wheels for a version of CPython on *machine* (x86_64 or aarch64) with glibc.

    They are fetched by pip unless they are in the folder *cache*.

    Raises:
        subprocess.CalledProcessError: pip found none with a hash of wheels.txt.
    """
    return [
        _opened(pin, _cached(pin, python, machine, cache)) for pin in pins() if pin.fits(python)
    ]


def _cached(pin: Pin, python: str, machine: str, cache: Path) -> Path:
    """Return the path of a wheel in the cache, with a hash of wheels.txt."""
    folder = cache / f"{pin.name}-{pin.version}-{python}-{machine}"
    found = _right(pin, folder)
    if not found:
        _fetch(pin, python, machine, folder)
        found = _right(pin, folder)
    if not found:
        raise FileNotFoundError(f"no wheel in {folder} is one of {PINNED}")
    return found


def _right(pin: Pin, folder: Path) -> Path | None:
    """Return the wheel in a folder whose hash is in wheels.txt; None if there is none."""
    for path in sorted(folder.glob("*.whl")):
        if hashlib.sha256(path.read_bytes()).hexdigest() in pin.hashes:
            return path
    return None


def _fetch(pin: Pin, python: str, machine: str, folder: Path) -> None:
    """Download a wheel by pip, which compares its hash."""
    abi = "cp" + python.replace(".", "")
    platforms = [f"--platform={each}_{machine}" for each in _MANYLINUX]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as required:
        hashes = " ".join(f"--hash=sha256:{each}" for each in sorted(pin.hashes))
        required.write(f"{pin.name}=={pin.version} {hashes}\n")
        required.flush()
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"),
                *(f"--python-version={python}", "--implementation=cp", f"--abi={abi}"),
                *("--abi=none", *platforms, f"--dest={folder}", f"--requirement={required.name}"),
            ],
            check=True,
        )


def _opened(pin: Pin, path: Path) -> Wheel:
    files, licences = {}, {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            head, _, tail = name.partition(".dist-info/")
            if tail.startswith("licenses/"):
                licences[os.path.basename(tail)] = archive.read(name)
            elif not tail and not name.endswith((".pyi", "py.typed", "/")):
                files[head] = archive.read(name)
    return Wheel(pin, files, licences)
