"""Reader of the file of containers' names, which `zabbix-sockets names` keeps for the agent."""

from __future__ import annotations

import os

from zabbix_sockets.model.container_names import MAX_BYTES, NAMES_FILE, ContainerEntry, parse_lines
from zabbix_sockets.readers.files import read_regular


def read_names(path: str = NAMES_FILE) -> dict[str, ContainerEntry] | None:
    """Return the entries of the file of containers' names, by id.

    None where it isn't there or may not be read: nobody keeps it, or not for this user. A file that
    is not as it should be has none.
    """
    try:
        return parse_lines(read_regular(path, MAX_BYTES, os.O_NOFOLLOW))
    except (FileNotFoundError, PermissionError):
        return None
    except (OSError, ValueError):
        return {}
