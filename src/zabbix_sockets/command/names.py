"""The verb names, which leaves the names of containers for the agent to read."""

import sys
from typing import Annotated, NamedTuple

from zabbix_sockets.command.call import Call
from zabbix_sockets.command.options import READERS_GROUP
from zabbix_sockets.model.container_names import NAMES_FILE
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.paths import PINS_GROUP


class NamesOptions(NamedTuple):
    """The options of `names`."""

    group: Annotated[str, READERS_GROUP] = PINS_GROUP


def names(options: NamesOptions, _call: Call) -> None:
    """Write the file of containers' names until no container has come or gone for a second.

    Raises:
        SocketsError: it can't be written, there is no such group, or this process may not read the
            files of docker and podman.
    """
    from zabbix_sockets.readers.containers.names_writer import keep_up  # noqa: PLC0415  # for this verb alone
    from zabbix_sockets.readers.groups import group_id  # noqa: PLC0415  # for this verb alone

    try:
        count = keep_up(NAMES_FILE, group_id(options.group, "names"))
    except PermissionError as error:
        message = f"can't read {error.filename}: {error.strerror}"
        raise SocketsError(message, "run it as root: that takes CAP_DAC_READ_SEARCH") from None
    written = f"{NAMES_FILE}: {count} containers, readable by group {options.group}"
    sys.stdout.write(f"{written}\n")
