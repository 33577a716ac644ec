"""Reader of the users and groups of a host, by the files of a tree or, of this host, by NSS too.

Source: passwd(5), group(5), getpwnam(3). World-readable. NSS may ask a network, which is why only
the verbs of an administrator use this.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import NamedTuple

from zabbix_sockets.readers.files import read_regular
from zabbix_sockets.readers.proc.passwd import MAX_BYTES, read_users

_GROUP_FIELDS = 4
_SHARED_GIDS = {0, 65534}  # root's; what the kernel gives where an id has no other
_ID_DIGITS = 10
_SHARED_NAMES = {"root", "nogroup", "nobody", "users"}


class Account(NamedTuple):
    """A user: the name, and the ids of the user and of its primary group."""

    name: str
    uid: int
    gid: int


class Accounts:
    """The users and groups of the host whose files are below *root*; empty: this host's."""

    def __init__(self, root: str = "") -> None:
        self._by_nss = not root
        self._users = [
            Account(os.fsdecode(each.name), each.uid, each.gid)
            for each in read_users(f"{root}/etc/passwd")
        ]
        self._groups = list(_read_groups(f"{root}/etc/group"))

    def user(self, name: str) -> Account | None:
        """Return the user of that name, or whose uid in digits it is; None: there is none."""
        for each in self._users:
            if name in {each.name, str(each.uid)}:
                return each
        if self._by_nss:
            try:
                found = pwd.getpwuid(int(name)) if _is_id(name) else pwd.getpwnam(name)
            except KeyError:
                return None
            return Account(found.pw_name, found.pw_uid, found.pw_gid)
        return None

    def group_name(self, gid: int) -> str:
        """Return the name of the group with that id; its digits where it has none."""
        for name, number, _ in self._groups:
            if number == gid:
                return name
        if self._by_nss:
            with suppress(KeyError):  # a number without a name
                return grp.getgrgid(gid).gr_name
        return str(gid)

    def gid(self, name: str) -> int | None:
        """Return the id of the group of that name, or with that id in digits; None: none."""
        for each, number, _ in self._groups:
            if name in {each, str(number)}:
                return number
        if self._by_nss:
            try:
                return grp.getgrnam(name).gr_gid
            except KeyError:
                return None
        return None

    def groups_of(self, user: Account) -> tuple[str, ...]:
        """Return the names of the groups of *user*: the primary one first, then by name."""
        primary = self.group_name(user.gid)
        return (primary, *sorted(self.joined(user) - {primary}))

    def joined(self, user: Account) -> set[str]:
        """Return the names of the groups that list *user*, whatever its primary one is.

        A program has these too where its unit starts it with another group than the primary one.
        """
        found = {name for name, _, members in self._groups if user.name in members}
        if self._by_nss:
            gids = set(os.getgrouplist(user.name, user.gid)) - {user.gid}
            found |= {self.group_name(gid) for gid in gids}
        return found

    def is_private(self, group: str, users: Collection[str]) -> bool:
        """Whether nobody but *users* has the group of that name, as far as this host's files say.

        The groups of root and of nobody, and users, belong to all. A group of the network's has
        members that can't be listed, so it is nobody's own.
        """
        gid = next((gid for name, gid, _ in self._groups if name == group), None)
        if gid is None or gid in _SHARED_GIDS or group in _SHARED_NAMES:
            return False
        same = [members for _, number, members in self._groups if number == gid]
        holders = {name for members in same for name in members}
        holders |= {each.name for each in self._users if each.gid == gid}
        return holders <= set(users)


def _is_id(text: str) -> bool:
    """Whether a text is the id of a user or a group in digits: they have 32 bits."""
    return text.isdecimal() and len(text) <= _ID_DIGITS


def _read_groups(path: str) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """Yield the name, id and members of each group of the file; none where it can't be read."""
    try:
        text = os.fsdecode(read_regular(path, MAX_BYTES))
    except OSError:
        return
    for line in text.split("\n"):
        fields = line.split(":")
        if len(fields) == _GROUP_FIELDS and _is_id(fields[2]):
            yield fields[0], int(fields[2]), tuple(filter(None, fields[3].split(",")))
