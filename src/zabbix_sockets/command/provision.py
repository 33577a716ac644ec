"""The verb provision, for the administrator of a Zabbix server; it collects nothing."""

from zabbix_sockets.command.call import Call
from zabbix_sockets.provision.options import ProvisionOptions


def provision(options: ProvisionOptions, _call: Call) -> None:
    """Import the templates and link hosts through Zabbix's API.

    Raises:
        SocketsError: the extra [provision] is not installed, or the API refused something.
    """
    try:
        from zabbix_sockets.provision import command  # noqa: PLC0415  # needs pyzabbix, which few hosts have
    except ImportError as error:
        from zabbix_sockets.provision.failures import without_extra  # noqa: PLC0415  # for this error alone

        raise without_extra(error) from None
    command.provision(options)
