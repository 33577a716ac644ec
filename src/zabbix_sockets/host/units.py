r"""Reader of systemd's unit files: what a service runs, as whom, with its drop-ins.

Source: systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.syntax(7). The files are read,
and systemd isn't asked: it answers for the running host only, and not at all in a chroot.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import NamedTuple

from zabbix_sockets.readers.files import read_regular

UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Where units are, the first one wins: of the host's own manager."""

_MAX_BYTES = 1 << 18
_MAX_UNITS = 5000
_SPECIFIER = re.compile(r"%([%pPnNiIjJ])")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Service(NamedTuple):
    """A service unit.

    Attributes:
        name: such as zabbix-agent.service; of an instance with it.
        path: its file; empty: it has drop-ins alone.
        command: the words of ExecStart=, with variables and specifiers replaced; empty: none.
        user: of User=; empty: root.
        group: of Group=; empty: the user's own.
        supplementary: of SupplementaryGroups=.
        folder: of WorkingDirectory=; "/": none is set.
        files: all files that were read for it.
    """

    name: str
    path: str
    command: tuple[str, ...] = ()
    user: str = ""
    group: str = ""
    supplementary: tuple[str, ...] = ()
    folder: str = "/"
    files: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        """The path of what it runs; empty: nothing."""
        return self.command[0] if self.command else ""


def find_services(program: str, root: str = "") -> list[Service]:
    """Return the services below *root* with a file that has the text *program*, in order of names.

    A template counts by its instances that are enabled; what is masked doesn't.
    """
    names: dict[str, None] = {}
    # Where /lib is a link, two of the folders are one.
    folders = {os.path.realpath(root + folder): folder for folder in reversed(UNIT_FOLDERS)}
    for folder in folders.values():
        for name in _listed(root + folder):
            path = f"{root}{folder}/{name}"
            if name.endswith(".service") and program in _text(path):
                names.update(dict.fromkeys(_instances(name, root) if "@." in name else [name]))
            elif name.endswith(".service.d") and any(
                program in _text(f"{path}/{each}") for each in _listed(path)
            ):
                names.setdefault(name[: -len(".d")])
    found = (read_service(name, root) for name in sorted(names))
    return [each for each in found if each]


def read_service(name: str, root: str = "") -> Service | None:
    """Return the service *name* of the files below *root*; None: it isn't there, or is masked."""
    path = _unit_path(name, root)
    if path is None:
        return None
    drop_ins = _drop_ins(name, root)
    if path == "" and not drop_ins:
        return None
    section = _Section(name)
    for each in (path, *drop_ins) if path else drop_ins:
        section.read(_text(root + each))
    service = section.service(root)
    files = ((path,) if path else ()) + tuple(drop_ins)
    return service._replace(path=path, files=files)


class _Section:
    """The section Service of a unit, gathered from its file and its drop-ins, in this order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._settings: dict[str, list[str]] = {}

    def read(self, text: str) -> None:
        """Add what *text*, of a unit's file, says; an empty value takes back what was said."""
        section = ""
        for line in text.replace("\\\n", " ").split("\n"):
            line = line.strip()  # noqa: PLW2901  # one line, without its blanks
            if line.startswith("["):
                section = line
            elif section == "[Service]" and "=" in line and line[0] not in "#;":
                name, _, value = line.partition("=")
                values = self._settings.setdefault(name.strip(), [])
                if value.strip():
                    values.append(value.strip())
                else:
                    values.clear()

    def service(self, root: str) -> Service:
        """Return the service; files of variables are read below *root*."""
        starts = self._all("ExecStart")
        return Service(
            self._name,
            "",
            self._command(starts[-1], self._environment(root)) if starts else (),
            self._last("User"),
            self._last("Group"),
            tuple(" ".join(self._all("SupplementaryGroups")).split()),
            self._last("WorkingDirectory").lstrip("-") or "/",
        )

    def _all(self, name: str) -> list[str]:
        return [self._expanded(each) for each in self._settings.get(name, ())]

    def _last(self, name: str) -> str:
        return (self._all(name) or [""])[-1]

    def _expanded(self, value: str) -> str:
        """Return *value* with the specifiers for parts of the unit's name replaced."""
        stem = self._name.rpartition(".")[0]
        prefix, _, instance = stem.partition("@")
        parts = {"%": "%", "n": self._name, "N": stem, "p": prefix, "P": prefix}
        parts.update(i=instance, I=instance)
        last = prefix.rpartition("-")[2]
        parts.update(j=last, J=last)
        return _SPECIFIER.sub(lambda found: parts[found[1]], value)

    def _environment(self, root: str) -> dict[str, str]:
        """Return the variables of Environment= and, over these, of EnvironmentFile=."""
        words = [word for value in self._all("Environment") for word in _split(value)]
        for path in self._all("EnvironmentFile"):
            for line in _text(root + path.lstrip("-")).split("\n"):
                if line.strip()[:1] not in {"", "#", ";"} and "=" in line:
                    name, _, value = line.strip().partition("=")
                    words.append(f"{name.strip()}={' '.join(_split(value))}")
        return {name: value for name, _, value in (word.partition("=") for word in words)}

    @staticmethod
    def _command(value: str, variables: dict[str, str]) -> tuple[str, ...]:
        """Return the words of a command: $NAME as a word of its own may be several, ${NAME} one."""
        words: list[str] = []
        for word in _split(value.lstrip("@-:+!|")):
            if word.startswith("$") and word[1:].isidentifier():
                words += _split(variables.get(word[1:], ""))
            else:
                words.append(_VARIABLE.sub(lambda found: variables.get(found[1], ""), word))
        return tuple(words)


def _split(text: str) -> list[str]:
    """Return the words of *text* as a shell has them; by blanks where a quote is not closed."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))[:_MAX_UNITS]
    except OSError:
        return []  # it isn't there, or is a file


def _text(path: str) -> str:
    """Return the text of a unit's file; empty: it isn't there, is too long, or can't be read.

    A NUL ends a line, as it does for systemd (read_line() of its src/basic/fileio.c).
    """
    try:
        return read_regular(path, _MAX_BYTES).decode("utf-8", "replace").replace("\0", "\n")
    except OSError:
        return ""


def _unit_path(name: str, root: str) -> str | None:
    """Return the path of the unit's file; empty: there is none; None: the unit is masked."""
    prefix, at, _ = name.partition("@")
    for each in (name, f"{prefix}@.service") if at else (name,):
        for folder in UNIT_FOLDERS:
            path = f"{folder}/{each}"
            if os.path.islink(root + path) and os.readlink(root + path) == os.devnull:
                return None
            if os.path.exists(root + path):
                return path if os.path.getsize(root + path) else None
    return ""


def _drop_ins(name: str, root: str) -> list[str]:
    """Return the paths of the unit's drop-ins in the order in which they count.

    Of those with one file name in several folders it is the first; a link to /dev/null takes one
    away.
    """
    stem = name[: -len(".service")]
    prefix, at, _ = stem.partition("@")
    owners = [name] + ([f"{prefix}@.service"] if at else [])
    parts = prefix.split("-")
    owners += [f"{'-'.join(parts[:end])}-.service" for end in range(len(parts) - 1, 0, -1)]
    found: dict[str, str] = {}
    for owner in [*owners, "service"]:
        for folder in UNIT_FOLDERS:
            for each in _listed(f"{root}{folder}/{owner}.d"):
                if each.endswith(".conf"):
                    found.setdefault(each, f"{folder}/{owner}.d/{each}")
    return [path for _, path in sorted(found.items()) if os.path.isfile(root + path)]


def _instances(template: str, root: str) -> list[str]:
    """Return the names of the instances of *template* that something wants."""
    prefix = template[: template.index("@") + 1]
    found = []
    for folder in UNIT_FOLDERS[:2]:
        for wants in _listed(root + folder):
            if wants.endswith((".wants", ".requires")):
                names = _listed(f"{root}{folder}/{wants}")
                found += [each for each in names if each.startswith(prefix) and each != template]
    return found
