"""Parser of the configuration files of Zabbix's programs: NAME=VALUE, # comments, and Include.

Include names a file, a folder (all its files), or a pattern in the last part of a path. Observed
with 6.0.14 and 7.0.9: a relative path is from the folder of the program's own file, also in a file
that is included; in agentd, server and proxy before 7.0 it is from the working directory. Agent 2
alone knows "?" and "[" besides "*". Hidden files count, and the order is not defined. Without the
file or the folder the program doesn't start.

Source: src/libs/zbxconf/cfg.c, src/go/pkg/conf/conf.go.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from zabbix_sockets.readers.files import read_regular

MAX_DEPTH = 10  # as the parser of Zabbix
MAX_BYTES = 1_000_000
"""The longest file that is read."""
MAX_FILES = 1000
"""The most files that are read, of one program."""
MAX_NAMES = 100_000
"""The most names of files that are compared with patterns, of one program."""
TLS_FILES = {
    "TLSPSKFile": "tls-psk-file",
    "TLSKeyFile": "tls-key-file",
    "TLSCertFile": "tls-cert-file",
    "TLSCAFile": "tls-ca-file",
    "TLSCRLFile": "tls-crl-file",
}
"""The settings that name files, and what zabbix_sender and the credentials of units call them."""
_MAX_ALL_BYTES = 8 * MAX_BYTES
_TOO_MUCH = "Include goes too deep, has too many files, or too long ones"

_SETTING = re.compile(r"^([A-Za-z0-9.]+)\s*=\s*(.*)$")


class Setting(NamedTuple):
    """A line NAME=VALUE of the file *path*."""

    name: str
    value: str
    path: str


class Include(NamedTuple):
    """What a line Include= names.

    Attributes:
        folder: the folder in which files are looked for, absolute.
        pattern: the files' names: with "*" (of agent 2 also "?" and "[") for any characters; of a
            single file its name.
        is_file: it is a single file, which must be there.
        path: the file that has the line.
    """

    folder: str
    pattern: str
    is_file: bool
    path: str


class Fault(NamedTuple):
    """Why the file or folder *path* could not be read, or was not."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class ZabbixConfig(NamedTuple):
    """The settings of a file and of all that it includes.

    Attributes:
        path: that of the file itself.
        settings: in the order of the lines, without Include.
        includes: of each line Include, in the same order, what it names.
        files: the paths that were read, in the order in which they were begun.
        faults: what could not be read.
    """

    path: str
    settings: tuple[Setting, ...] = ()
    includes: tuple[Include, ...] = ()
    files: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    def value(self, name: str) -> str | None:
        """The value of the last setting of that name, which is the one that counts; None: none."""
        return next((each.value for each in reversed(self.settings) if each.name == name), None)

    def values(self, *names: str) -> list[Setting]:
        """All settings of these names, in the order of their lines."""
        return [each for each in self.settings if each.name in names]


class Syntax(NamedTuple):
    """How a program reads Include.

    Attributes:
        wildcards: the characters that make a name a pattern.
        relative_to: returns the folder that relative paths start from; called if there are any.
    """

    wildcards: str
    relative_to: Callable[[], str]


def syntax_of(config: str, *, is_agent2: bool) -> Syntax:
    """Return how programs read Include that take relative paths from the folder of *config*."""
    return Syntax("*?[" if is_agent2 else "*", lambda: os.path.dirname(config))


def named_configs(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the values of -c and --config among a program's arguments, in C and in Go's spelling.

    The first argument is the program itself.
    """
    for at, argument in enumerate(arguments[1:], 1):
        name, equals, value = argument.partition("=")
        if name in {"-c", "-config", "--config"}:
            yield value if equals else "".join(arguments[at + 1 : at + 2])
        elif argument.startswith("-c") and not argument.startswith("-co"):
            yield argument[2:]


def fits(include: Include, name: str, syntax: Syntax) -> bool:
    """Whether a file called *name* in the folder of *include* is read by the program."""
    if include.is_file:
        return name == include.pattern
    pattern = include.pattern
    for character in "[?":  # a "[" first: the brackets for "?" are no plain ones
        if character not in syntax.wildcards:
            pattern = pattern.replace(character, f"[{character}]")
    return fnmatch.fnmatchcase(name, pattern.replace("[^", "[!"))


def read_config(path: str, syntax: Syntax, root: str = "") -> ZabbixConfig:
    """Return the settings of the file *path*, which is below *root*, and of all that it includes.

    A file that can't be read is a fault and left out; so are those beyond MAX_FILES, MAX_NAMES or
    MAX_DEPTH.
    """
    reader = _Reader(syntax, root)
    reader.read(path, 0)
    return ZabbixConfig(
        path,
        tuple(reader.settings),
        tuple(reader.includes),
        tuple(reader.files),
        tuple(reader.faults),
    )


class _Reader:
    """Reads files and those that they include, and gathers what they say."""

    def __init__(self, syntax: Syntax, root: str) -> None:
        self._syntax = syntax
        self._root = root
        self._bytes = self._names = 0
        self.settings: list[Setting] = []
        self.includes: list[Include] = []
        self.files: list[str] = []
        self.faults: list[Fault] = []

    def read(self, path: str, depth: int) -> None:
        if depth > MAX_DEPTH or self._is_full():
            self._note_too_much(path)
            return
        self.files.append(path)
        try:
            content = read_regular(self._real(path), MAX_BYTES)
        except OSError as error:
            self.faults.append(Fault(path, _reason(error)))
            return
        self._bytes += len(content)
        for line in content.decode("utf-8", "surrogateescape").split("\n"):
            found = _SETTING.match(line.strip())
            if not found:
                continue
            name, value = found[1], found[2].strip()
            if name != "Include":
                # for a program in C it ends there, and no path has one
                self.settings.append(Setting(name, value.partition("\0")[0].rstrip(), path))
                continue
            if self._is_full():
                self._note_too_much(path)
                continue
            for each in self._included(value, path):
                self.read(each, depth + 1)

    def _is_full(self) -> bool:
        """Whether so much was read that what else is included is left out."""
        most = max(len(self.files), len(self.includes))
        return most >= MAX_FILES or self._bytes > _MAX_ALL_BYTES or self._names > MAX_NAMES

    def _note_too_much(self, path: str) -> None:
        if not any(each.reason == _TOO_MUCH for each in self.faults):
            self.faults.append(Fault(path, _TOO_MUCH))

    def _real(self, path: str) -> str:
        return self._root + path if self._root else path

    def _included(self, value: str, path: str) -> list[str]:
        """Note what Include=*value* in the file *path* names, and return the paths of its files."""
        include = self._parse(value, path)
        if include is None:
            return []
        self.includes.append(include)
        if include.is_file:
            return [os.path.join(include.folder, include.pattern)]
        try:
            names = sorted(os.listdir(self._real(include.folder)))
        except OSError as error:
            self.faults.append(Fault(include.folder, _reason(error)))
            return []
        self._names += len(names)
        paths = [
            os.path.join(include.folder, name)
            for name in names
            if fits(include, name, self._syntax)
        ]
        return [each for each in paths if os.path.isfile(self._real(each))]

    def _parse(self, value: str, path: str) -> Include | None:
        """Return the files named by Include=*value* in the file *path*; None, and a fault: none."""
        if "\0" in value:
            self.faults.append(Fault(path, "an Include has a NUL in it"))
            return None
        folder, name = os.path.split(value.rstrip("/") or "/")
        has_pattern = any(each in name for each in self._syntax.wildcards)
        if any(each in folder for each in self._syntax.wildcards) or (has_pattern and not folder):
            reason = f"Include={value}: only the last part of a path may be a pattern"
            self.faults.append(Fault(path, reason))
            return None
        whole = value.rstrip("/") or "/"
        if not os.path.isabs(whole):
            whole = os.path.join(self._syntax.relative_to(), whole)
        whole = os.path.normpath(whole)
        if not has_pattern and (value.endswith("/") or os.path.isdir(self._real(whole))):
            return Include(whole, "*", is_file=False, path=path)
        return Include(os.path.dirname(whole), name, is_file=not has_pattern, path=path)


def _reason(error: OSError) -> str:
    if error.errno == errno.EFBIG:
        return f"longer than {MAX_BYTES} bytes"
    return error.strerror or str(error)
