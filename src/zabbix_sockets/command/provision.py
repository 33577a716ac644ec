"""The verbs provision and provision map, for whoever looks after a Zabbix server.

They collect nothing.
"""

from zabbix_sockets.command.call import Call
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.options import ProvisionOptions
from zabbix_sockets.service_map.options import MapOptions


def provision(options: ProvisionOptions, _call: Call) -> None:
    """Import the templates and link hosts through Zabbix's API.

    Raises:
        SocketsError: the extra [provision] is not installed, or the API refused something.
    """
    try:
        from zabbix_sockets.provision import command  # noqa: PLC0415  # needs pyzabbix, which few hosts have
    except ImportError as error:
        raise _without_extra(error, "provision") from None
    command.provision(options)


def provision_map(options: MapOptions, _call: Call) -> None:
    """Draw the map of who talks to whom through Zabbix's API.

    Raises:
        SocketsError: the extra [map] is not installed, or the API refused something.
    """
    try:
        from zabbix_sockets.service_map import command  # noqa: PLC0415  # needs pyzabbix and igraph
    except ImportError as error:
        raise _without_extra(error, "map") from None
    command.draw_map(options)


def _without_extra(error: ImportError, extra: str) -> SocketsError:
    from zabbix_sockets.provision.failures import without_extra  # noqa: PLC0415  # for this error alone

    return without_extra(error, extra)
