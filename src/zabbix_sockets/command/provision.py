"""The verb provision: of who administers a Zabbix server, on a machine that need not be a host."""

from zabbix_sockets.command.call import Call
from zabbix_sockets.provision.options import ProvisionOptions


def provision(options: ProvisionOptions, _call: Call) -> None:
    """Import the templates through the API.

    Raises:
        SocketsError: the extra is not installed, or what went wrong.
    """
    try:
        from zabbix_sockets.provision import command  # noqa: PLC0415  # pyzabbix
    except ImportError as error:
        from zabbix_sockets.provision.failures import without_extra  # noqa: PLC0415  # as above

        raise without_extra(error) from None
    command.provision(options)
