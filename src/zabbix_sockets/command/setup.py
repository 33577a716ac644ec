"""The verb setup, for this host's administrator; it collects nothing."""

from zabbix_sockets.check.line import BROKEN
from zabbix_sockets.command.call import Call
from zabbix_sockets.command.check import CheckOptions, print_lines
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.setup import command
from zabbix_sockets.setup.options import SetupOptions


def setup(options: SetupOptions, _call: Call) -> None:
    """Set this host up for the agents that are on it, or take that back; then check the host.

    What is degraded there, or not known, is no failure of the setup: it is printed alone.

    Raises:
        SocketsError: a step failed, something stands in the way, or is broken.
    """
    command.setup(options, _check)


def _check() -> None:
    """Print what works on this host and what doesn't.

    Raises:
        SocketsError: something is broken; what, has been printed.
    """
    count = sum(each.state == BROKEN for each in print_lines(CheckOptions()))
    if count:
        raise SocketsError(f"{count} {'things are' if count > 1 else 'thing is'} broken here")
