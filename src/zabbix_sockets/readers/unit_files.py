"""Reader of systemd's unit files: where they are, which of them count, and what they set.

Source: systemd.unit(5), systemd.syntax(7). The files are read, as anybody may, and systemd isn't
asked: it answers over D-Bus alone, for the running host only, and not at all in a chroot. Only root
can put a file there, so names and texts are an administrator's.
"""

from __future__ import annotations

import os
from _collections_abc import Iterator

from zabbix_sockets.model import shortage
from zabbix_sockets.readers.files import read_regular

UNIT_FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
"""The folders of units of the host's own manager; in the first one that has it a unit's file is."""

_MAX_BYTES = 1 << 18
_MAX_NAMES = 5000


class UnitFolders:
    """The folders of units below *root*: what each has of the units of one kind.

    Args:
        suffix: the end of the units' names, such as ".service".
        root: the folder that stands for "/".
    """

    def __init__(self, suffix: str, root: str = "") -> None:
        self._suffix = suffix
        self._root = root
        is_merged = os.path.islink(f"{root}/lib")  # with /usr/lib
        suffixes = suffix, f"{suffix}.d", f"{suffix[1:]}.d"
        self.names: dict[str, list[str]] = {}
        """The names in each folder, of units' files and of the folders of their drop-ins."""
        for folder in UNIT_FOLDERS:
            found = [] if is_merged and folder.startswith("/lib/") else self.listed(folder)
            if found:
                self.names[folder] = [each for each in found if each.endswith(suffixes)]

    def listed(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; none if it isn't there, or may not be read."""
        try:
            return sorted(os.listdir(self._root + folder))[:_MAX_NAMES]
        except OSError as error:
            shortage.note(error)
            return []

    def file(self, name: str) -> str:
        """Return the path of a unit's file, without the root; empty: there is none.

        An instance without a file of its own has the template's.
        """
        prefix, at, _ = name.partition("@")
        for each in (name, f"{prefix}@{self._suffix}") if at else (name,):
            for folder, names in self.names.items():
                if each in names and os.path.exists(f"{self._root}{folder}/{each}"):
                    return f"{folder}/{each}"
        return ""

    def drop_ins(self, name: str) -> list[str]:
        """Return the paths of a unit's drop-ins in the order in which they count, without the root.

        Of those with one file name in several folders it is the first one's, of which the unit's
        own folders come before those of all units with the beginning of its name; a link to
        /dev/null takes one away.
        """
        stem = name[: -len(self._suffix)]
        prefix, at, _ = stem.partition("@")
        parts = prefix.split("-")
        owners = [name, *([f"{prefix}@{self._suffix}"] if at else ())]
        owners += [
            f"{'-'.join(parts[:end])}-{self._suffix}" for end in range(len(parts) - 1, 0, -1)
        ]
        found: dict[str, str] = {}
        for owner in (*owners, self._suffix[1:]):
            for folder, names in self.names.items():
                path = f"{folder}/{owner}.d"
                for each in self.listed(path) if f"{owner}.d" in names else ():
                    if each.endswith(".conf"):
                        found.setdefault(each, f"{path}/{each}")
        return [path for _, path in sorted(found.items()) if os.path.isfile(self._root + path)]

    def text(self, path: str, errors: str = "surrogateescape") -> str:
        """Return the text of a file; empty: it isn't there, is too long, or can't be read.

        A NUL ends a line, as it does for systemd (read_line() of its src/basic/fileio.c). *errors*
        says what becomes of bytes that are no UTF-8 (bytes.decode).
        """
        try:
            content = read_regular(self._root + path, _MAX_BYTES)
        except OSError as error:
            shortage.note(error)
            return ""
        return content.decode("utf-8", errors).replace("\0", "\n")


def settings_of(text: str, section: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of a section, such as Service, with their values; one may come often."""
    current = ""
    for each in text.replace("\\\n", " ").split("\n"):
        line = each.strip()
        if line.startswith("["):
            current = line
        elif current == f"[{section}]" and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()
