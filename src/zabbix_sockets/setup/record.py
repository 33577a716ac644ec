"""The record of what was done on this host: what `setup --remove` takes back.

It is in /var/lib, which survives boots and upgrades and belongs to no package; in a folder of its
own, as that of the sender's service belongs to the service's user, and on some hosts /etc/zabbix to
the agent's. An entry is written before the deed, so that none is forgotten when a call is killed.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import NamedTuple

from zabbix_sockets.host.processes import may_only_root_write
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.json_reading import read_json
from zabbix_sockets.setup import files

FOLDER = "/var/lib/zabbix-sockets-setup"
_NAME = "record.json"
_VERSION = 1

FILE, DIRECTORY, RUNTIME, STATE = "file", "folder", "runtime", "state"
UNIT, MOUNT, LOADED = "unit", "mount", "loaded"
GROUP, MEMBER, MODULE = "group", "member", "module"
"""The kinds of entries."""


class Entry(NamedTuple):
    """A thing that was done.

    Attributes:
        kind: which kind of thing.
        name: of a file and a folder, also one below /run (runtime) and one
            that calls fill (state), the path; of a unit, a group
            and a module the name; of a member the user; of what is loaded the folder of the pins.
        more: of a file the digest, of a member the group; else empty.
    """

    kind: str
    name: str
    more: str = ""


class SetupRecord:
    """The entries of the host below *root*, in the order in which things were done.

    Raises:
        SocketsError: the file can't be read, isn't root's alone, or is no such record.
    """

    def __init__(self, root: str = "") -> None:
        self._folder = root + FOLDER
        self._path = f"{self._folder}/{_NAME}"
        self.entries = self._read()

    def _read(self) -> list[Entry]:
        try:
            content = files.read(self._path)
            if content is None:
                return []
            for path in (self._folder, self._path):
                if not may_only_root_write(os.lstat(path)):
                    raise SocketsError(f"{path}: others than root may write it", f"look at {path}")
        except PermissionError:
            return []  # who looks without being root can't see what was done
        except OSError as error:
            raise SocketsError(f"{self._path}: {error.strerror}", "run it as root") from None
        try:
            found = read_json(content)
            if found["version"] != _VERSION:
                raise ValueError
            return [Entry(*map(str, each)) for each in found["entries"]]
        except (ValueError, KeyError, TypeError):
            raise SocketsError(
                f"{self._path} is no record of this version of setup", f"look at {self._path}"
            ) from None

    def digest_of(self, path: str) -> str | None:
        """Return the digest of what was last written to *path*; None: nothing was."""
        found = (each for each in self.entries if (each.kind, each.name) == (FILE, path))
        return next((each.more for each in found), None)

    def add(self, entry: Entry) -> None:
        """Add an entry, in the place of one for the same thing, and write the file."""
        for at, each in enumerate(self.entries):
            if each.kind == entry.kind and each.name == entry.name:
                if each == entry:
                    return
                if entry.kind != MEMBER or each.more == entry.more:
                    self.entries[at] = entry
                    break
        else:
            self.entries.append(entry)
        self._write()

    def drop(self, entry: Entry) -> None:
        """Remove an entry and write the file, which goes with the last one."""
        self.entries.remove(entry)
        self._write()

    def _write(self) -> None:
        if not self.entries:
            files.remove(self._path)
            with suppress(OSError):  # somebody put something there
                os.rmdir(self._folder)
            return
        with suppress(FileExistsError):
            os.mkdir(self._folder, 0o700)
        text = json.dumps({"version": _VERSION, "entries": self.entries}, indent=1)
        files.write(self._path, f"{text}\n".encode(), 0o600)
