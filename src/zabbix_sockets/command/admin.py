"""The verbs load, unload and files, for this host's administrator; they collect nothing."""

import os
import sys
from typing import Annotated, NamedTuple

from zabbix_sockets.command.call import Call
from zabbix_sockets.command.options import PINS_FOLDER
from zabbix_sockets.model.option import Option, name
from zabbix_sockets.model.snapshot import PINS, PINS_GROUP


class LoadOptions(NamedTuple):
    """The options of `load`."""

    pins: Annotated[str, PINS_FOLDER] = PINS
    group: Annotated[
        str,
        Option(
            "--group",
            f"who may read them: the group of the agent's user (default: {PINS_GROUP})",
            "NAME",
            name,
        ),
    ] = PINS_GROUP


class UnloadOptions(NamedTuple):
    """The options of `unload`."""

    pins: Annotated[str, PINS_FOLDER] = PINS


class FilesOptions(NamedTuple):
    """The options of `files`: there are none."""


def load(options: LoadOptions, _call: Call) -> None:
    """Load and pin the BPF iterators, and print the path of each pin.

    Raises:
        SocketsError: they can't be loaded or pinned; the message says which privilege that takes.
    """
    from zabbix_sockets.readers.bpf import pins  # noqa: PLC0415  # imports ctypes: 2 ms

    for path in pins.load(options.pins, options.group):
        sys.stdout.write(f"loaded {path}, readable by group {options.group}\n")


def unload(options: UnloadOptions, _call: Call) -> None:
    """Remove the pins of the BPF iterators, and print the path of each.

    Raises:
        SocketsError: they can't be removed.
    """
    from zabbix_sockets.readers.bpf import pins  # noqa: PLC0415  # imports ctypes: 2 ms

    for path in pins.unload(options.pins):
        sys.stdout.write(f"unloaded {path}\n")


def files(_options: FilesOptions, _call: Call) -> None:
    """Print the path of the folder that has conf/ and zabbix_templates/."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.stdout.write(os.path.join(package, "share") + "\n")
