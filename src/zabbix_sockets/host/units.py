r"""Reader of systemd's unit files: what a service runs, as whom, with its drop-ins.

Source: systemd.service(5), systemd.exec(5).
"""

from __future__ import annotations

import os
import re
import shlex
from typing import NamedTuple

from zabbix_sockets.readers.unit_files import UnitFolders, settings_of

_SUFFIX = ".service"
_ENABLED = ("/etc/systemd/system", "/run/systemd/system")
"""The folders with the links to what is enabled."""
_SPECIFIER = re.compile(r"%([%pPnNiIjJ])")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class ServiceUnit(NamedTuple):
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


def find_services(program: str, root: str = "") -> list[ServiceUnit]:
    """Return the services below *root* with a file that has the text *program*, in order of names.

    A template counts by its instances that are enabled; what is masked doesn't.
    """
    names: dict[str, None] = {}
    folders = UnitFolders(_SUFFIX, root)
    for folder, listed in folders.names.items():
        for name in listed:
            path = f"{folder}/{name}"
            if name.endswith(_SUFFIX) and program in _text(folders, path):
                found = _instances(name, folders) if "@." in name else [name]
                names.update(dict.fromkeys(found))
            elif name.endswith(f"{_SUFFIX}.d") and any(
                program in _text(folders, f"{path}/{each}") for each in folders.listed(path)
            ):
                names.setdefault(name[: -len(".d")])
    services = (_read(name, folders, root) for name in sorted(names))
    return [each for each in services if each]


def _read(name: str, folders: UnitFolders, root: str) -> ServiceUnit | None:
    path, drop_ins = folders.file(name), folders.drop_ins(name)
    if (path and _is_masked(root + path)) or not (path or drop_ins):
        return None
    section = _Section(name, folders)
    files = (path, *drop_ins) if path else tuple(drop_ins)
    for each in files:
        section.read(_text(folders, each))
    return section.service()._replace(path=path, files=files)


def _is_masked(path: str) -> bool:
    """Whether a unit's file is empty, or a link to /dev/null."""
    is_null = os.path.islink(path) and os.readlink(path) == os.devnull
    return is_null or not os.path.getsize(path)


def _text(folders: UnitFolders, path: str) -> str:
    """Return the text of a file, which may be printed."""
    return folders.text(path, "replace")


class _Section:
    """The section Service of a unit, gathered from its file and its drop-ins, in this order."""

    def __init__(self, name: str, folders: UnitFolders) -> None:
        self._name = name
        self._folders = folders
        self._settings: dict[str, list[str]] = {}

    def read(self, text: str) -> None:
        """Add what *text*, of a unit's file, says; an empty value takes back what was said."""
        for name, value in settings_of(text, "Service"):
            values = self._settings.setdefault(name, [])
            if value:
                values.append(value)
            else:
                values.clear()

    def service(self) -> ServiceUnit:
        """Return the service, without its files."""
        starts = self._all("ExecStart")
        return ServiceUnit(
            self._name,
            "",
            self._command(starts[-1], self._environment()) if starts else (),
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
        last = prefix.rpartition("-")[2]
        parts.update(i=instance, I=instance, j=last, J=last)
        return _SPECIFIER.sub(lambda found: parts[found[1]], value)

    def _environment(self) -> dict[str, str]:
        """Return the variables of Environment= and, over these, of EnvironmentFile=."""
        words = [word for value in self._all("Environment") for word in _split(value)]
        for path in self._all("EnvironmentFile"):
            for line in _text(self._folders, path.lstrip("-")).split("\n"):
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


def _instances(template: str, folders: UnitFolders) -> list[str]:
    """Return the names of the instances of *template* that something wants."""
    prefix = template[: template.index("@") + 1]
    found = []
    for folder in _ENABLED:
        for wants in folders.listed(folder):
            if wants.endswith((".wants", ".requires")):
                names = folders.listed(f"{folder}/{wants}")
                found += [each for each in names if each.startswith(prefix) and each != template]
    return found
