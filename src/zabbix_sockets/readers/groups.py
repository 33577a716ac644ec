"""Reader of the system's groups, by name."""

import grp

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.light_typing import Optional
from zabbix_sockets.model.paths import PINS_GROUP


def find_group(name: str) -> Optional[int]:
    """Return the id of the group with that name; None: there is none."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def group_id(group: str, verb: str) -> int:
    """Return the id of the group with that name, for which *verb* leaves something to read.

    Raises:
        SocketsError: there is none; the message names those with a name like the usual one.
    """
    gid = find_group(group)
    if gid is not None:
        return gid
    like = sorted(each.gr_name for each in grp.getgrall() if each.gr_name.startswith(PINS_GROUP))
    found = f"; there is {', '.join(like)}" if like else ""
    raise SocketsError(
        f"no group {group}: nobody but root could read what {verb} leaves{found}",
        f"install the Zabbix agent first, or name the group of its user: {verb} --group NAME",
    )
