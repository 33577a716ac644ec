"""Reader of files below users' homes: their lengths, and where their paths lead, users choose.

What one user has there costs a bounded part of a call's time and memory, and no call ever
hangs: homes on other hosts' filesystems, an automounter's, or on one that a user's process
serves (FUSE) are not touched, nor is what is mounted like that below a home. No symbolic link is
followed there, and nothing but a regular file is opened.
"""

from __future__ import annotations

import os
import stat

from zabbix_sockets.model import shortage
from zabbix_sockets.model.light_library import cached_property
from zabbix_sockets.model.snapshot import FIRST_USER_UID
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.passwd import read_users

USER_BYTES = 1 << 20
"""The most bytes that are read of one user's files in a call. Decoded JSON takes thirty times as
much memory, and a MB of it as many milliseconds."""
ALL_BYTES = 4 << 20
"""The most bytes that are read of all users' files in a call."""
USER_FILES = 500
"""The most files of one user that are looked for in a call."""
_NOBODY = 65534

_PLACE = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Homes:
    """The files below the homes of the users of /etc/passwd, as far as one call reads them.

    Args:
        mounts: the mounts that the caller sees, by which files that may hang are told.
        root: the folder in which the host's files are.

    Attributes:
        complete: no file was left out since those of other users took up ALL_BYTES.
    """

    def __init__(self, mounts: Mounts, root: str = "/") -> None:
        self.complete = True
        self._mounts = mounts
        self._root = root
        self._resolved: dict[int, str | None] = {}
        self._files: dict[int, int] = {}
        self._bytes: dict[int, int] = {}

    def read(self, uid: int, path: str) -> bytes:
        """Return the bytes of the file *path* below the home of the user *uid*.

        They are b"" for a file that is not there, closed, not regular, behind a link or
        behind a mount that may hang; and for one that is beyond the user's share.
        """
        home = self._home(uid)
        self._files[uid] = self._files.get(uid, 0) + 1
        if home is None or self._files[uid] > USER_FILES:
            return b""
        try:
            fd = self._opened(home, path)
        except OSError as error:
            shortage.note(error)
            return b""
        try:
            return self._read(fd, uid)
        except OSError as error:
            shortage.note(error)
            return b""
        finally:
            os.close(fd)

    def _home(self, uid: int) -> str | None:
        """Return the path of a user's home with links resolved; None if it must not be touched."""
        if uid not in self._resolved:
            home = self._homes.get(uid)
            self._resolved[uid] = home and self._mounts.resolve(home)
        return self._resolved[uid]

    @cached_property
    def _homes(self) -> dict[int, str]:
        homes: dict[int, str] = {}
        for user in read_users(os.path.join(self._root, "etc/passwd")):
            home = os.fsdecode(user.home).strip("/")
            if home and "\0" not in home and FIRST_USER_UID <= user.uid != _NOBODY:
                homes.setdefault(user.uid, os.path.join(self._root, home))
        return homes

    def _opened(self, home: str, path: str) -> int:
        """Return a descriptor (O_PATH) of the file *path* below *home*, opened a folder at a time.

        Each folder is checked before the next is opened, by its path and by its descriptor: a user
        may mount something meanwhile.

        Raises:
            OSError: it is not there or closed, or PermissionError behind a mount that may hang.
        """
        place = os.open(home, _PLACE | os.O_DIRECTORY)
        below = home
        try:
            for part in path.split("/"):
                below = f"{below}/{part}"
                if not (self._mounts.is_local_descriptor(place) and self._mounts.is_local(below)):
                    raise PermissionError(below)
                inner = os.open(part, _PLACE, dir_fd=place)
                os.close(place)
                place = inner
            if not self._mounts.is_local_descriptor(place):
                raise PermissionError(below)
        except OSError:
            os.close(place)
            raise
        return place

    def _read(self, place: int, uid: int) -> bytes:
        """Return the bytes of the file with the descriptor *place*; b"" if it is not to be read.

        It is not if it is not regular, or longer than the user or all users have left.
        """
        status = os.fstat(place)
        if not stat.S_ISREG(status.st_mode):
            return b""
        room = USER_BYTES - self._bytes.get(uid, 0)
        if status.st_size > room:
            return b""
        if status.st_size > ALL_BYTES - sum(self._bytes.values()):
            self.complete = False
            return b""
        with open(os.open(f"/proc/self/fd/{place}", _READING), "rb") as file:
            data = file.read(room + 1)
        self._bytes[uid] = self._bytes.get(uid, 0) + len(data)
        return data if len(data) <= room else b""
