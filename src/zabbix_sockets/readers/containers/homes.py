"""Files below users' homes: each is as long, and wherever, as its user likes.

What one user has there costs a bounded part of a call's time and memory, and no call ever
hangs: homes on other hosts' filesystems, an automounter's, or on one that a user's process
serves (FUSE) are not touched, nor is what is mounted like that below a home. No symbolic link is
followed there, and nothing but a regular file is opened.
"""

import os
import stat
from functools import cached_property

from zabbix_sockets.model import shortage
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.passwd import read_users

USER_BYTES = 1 << 20
"""What is read of one user's files in a call; JSON takes thirty times as much memory, and as
many milliseconds."""
ALL_BYTES = 4 << 20
"""What is read of all users' files in a call."""
USER_FILES = 500
_FIRST_USER, _NOBODY = 1000, 65534

_PLACE = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Homes:
    """The files of a call below the homes of people.

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
        """Return the bytes of a file below a user's home.

        None are returned for a file that is not there, closed, not regular, behind a link or
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
        """Return a user's home without links; None if it must not be looked into."""
        if uid not in self._resolved:
            home = self._homes.get(uid)
            self._resolved[uid] = home and self._mounts.resolved(home)
        return self._resolved[uid]

    @cached_property
    def _homes(self) -> dict[int, str]:
        homes: dict[int, str] = {}
        for user in read_users(os.path.join(self._root, "etc/passwd")):
            home = os.fsdecode(user.home).strip("/")
            if home and "\0" not in home and _FIRST_USER <= user.uid != _NOBODY:
                homes.setdefault(user.uid, os.path.join(self._root, home))
        return homes

    def _opened(self, home: str, path: str) -> int:
        """Return a descriptor, not for reading, of a file; each step is looked at before the next.

        A user may mount something meanwhile: so the mount is looked at once more, when it can't
        be another one any more.
        """
        place = os.open(home, _PLACE | os.O_DIRECTORY)
        below = home
        try:
            for part in path.split("/"):
                below = f"{below}/{part}"
                if not (self._mounts.holds(place) and self._mounts.is_local(below)):
                    raise PermissionError(below)
                inner = os.open(part, _PLACE, dir_fd=place)
                os.close(place)
                place = inner
            if not self._mounts.holds(place):
                raise PermissionError(below)
        except OSError:
            os.close(place)
            raise
        return place

    def _read(self, place: int, uid: int) -> bytes:
        """Return the bytes of the regular file that *place* is."""
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
