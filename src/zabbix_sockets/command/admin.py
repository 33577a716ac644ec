"""The verbs load, unload and files, for this host's administrator; they collect nothing."""

import sys
from typing import Annotated, NamedTuple

from zabbix_sockets.command.call import Call
from zabbix_sockets.command.options import PINS_FOLDER, READERS_GROUP
from zabbix_sockets.host.own_files import share_folder
from zabbix_sockets.model.option import Option
from zabbix_sockets.model.paths import PINS, PINS_GROUP


class LoadOptions(NamedTuple):
    """The options of `load`."""

    pins: Annotated[str, PINS_FOLDER] = PINS
    group: Annotated[str, READERS_GROUP] = PINS_GROUP
    totals: Annotated[
        bool,
        Option(
            "--no-totals",
            "without the programs that count connections and bytes in the kernel",
            action="store_false",
        ),
    ] = True


class UnloadOptions(NamedTuple):
    """The options of `unload`."""

    pins: Annotated[str, PINS_FOLDER] = PINS


class FilesOptions(NamedTuple):
    """The options of `files`: there are none."""


def load(options: LoadOptions, _call: Call) -> None:
    """Load and pin the BPF programs, and print the path of each pin.

    Those that calls can do without, such as the ones that count, are left out where they can't be
    loaded; the reason is printed on standard error.

    Raises:
        SocketsError: they can't be loaded or pinned; the message says which privilege that takes.
    """
    from zabbix_sockets.readers.bpf import pins  # noqa: PLC0415  # imports ctypes: 2 ms

    paths = pins.load(
        options.pins,
        options.group,
        with_totals=options.totals,
        warn=lambda reason: sys.stderr.write(f"{reason}\n"),
    )
    for path in paths:
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
    sys.stdout.write(f"{share_folder()}\n")
