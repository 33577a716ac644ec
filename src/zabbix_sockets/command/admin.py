"""What the verbs for administrators do: all that collects nothing."""

import os
import sys
from typing import Any


def provision(options: Any) -> None:
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


def load(options: Any) -> None:
    """Pin the BPF iterators."""
    from zabbix_sockets.readers.bpf import pins  # noqa: PLC0415  # ctypes

    for path in pins.load(options.pins, options.group):
        sys.stdout.write(f"loaded {path}, readable by group {options.group}\n")


def unload(options: Any) -> None:
    """Unpin the BPF iterators."""
    from zabbix_sockets.readers.bpf import pins  # noqa: PLC0415  # ctypes

    for path in pins.unload(options.pins):
        sys.stdout.write(f"unloaded {path}\n")


def files(_options: Any) -> None:
    """Print the folder of the files to copy: conf/ and zabbix_templates/."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.stdout.write(os.path.join(package, "share") + "\n")
