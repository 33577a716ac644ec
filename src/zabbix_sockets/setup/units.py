"""The part of the plan for units: the iterators at every boot, and the names of containers.

Where systemd doesn't run the host, the iterators are loaded once, and a person is told the line for
the next boot.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from zabbix_sockets.model.container_names import (
    NAMES_FOLDER,
    NAMES_PATH_UNIT,
    NAMES_SERVICE,
    NAMES_TIMER,
)
from zabbix_sockets.model.paths import PINS, PINS_GROUP
from zabbix_sockets.readers.bpf.records import PROGRAMS, pin_path
from zabbix_sockets.setup.actions import (
    DONE,
    TO_DO,
    Action,
    Command,
    RemoveFile,
    WriteFile,
)
from zabbix_sockets.setup.record import DIRECTORY, LOADED, MOUNT, RUNTIME, UNIT, Entry
from zabbix_sockets.setup.scene import Part, Scene

LOAD = "zabbix-sockets-load.service"
MOUNT_UNIT = "run-zabbix\\x2dsockets.mount"

_OWN_UNITS = "/etc/systemd/system"
_MASKS = (_OWN_UNITS, "/run/systemd/system")
"""The folders in which `systemctl mask` leaves a link to /dev/null."""
_STORES = (
    "/var/lib/docker",
    "/var/snap/docker",
    "/var/lib/containers/storage",
    "/usr/bin/docker",
    "/usr/bin/podman",
)
"""What is on a host with docker or podman."""


def plan_units(scene: Scene) -> Part:
    """Return the units that load the iterators at every boot and keep containers' names."""
    part = Part()
    if scene.no_iterators:
        part.notes.append(
            f"the BPF iterators are left out: {scene.no_iterators}; the agent sees less without"
        )
    elif scene.no_libbpf:
        part.faults.append(scene.no_libbpf)
    elif scene.machine.has_systemd:
        _add_load_unit(scene, part)
    else:
        _add_load(scene, part)
    if scene.machine.has_systemd and scene.machine.has(*_STORES):
        _add_names(scene, part)
    return part


def install_units(scene: Scene, *names: str) -> list[Action]:
    """Return the actions that put these units where systemd finds them.

    A package has them in place: copies of an installation by hand would hide these, and go.
    """
    paths = {name: f"{_OWN_UNITS}/{name}" for name in names}
    if scene.own.is_packaged:
        return [
            RemoveFile(scene.machine, path, is_ours=scene.is_ours(f"systemd/{name}", path))
            for name, path in paths.items()
        ]
    return [scene.copy(f"systemd/{name}", path) for name, path in paths.items()]


def finish_units(scene: Scene, files: Sequence[Action]) -> list[Action]:
    """Return *files* without those that need not be told, and a reload where any is to be done."""
    wanted = [each for each in files if each.state != DONE or isinstance(each, WriteFile)]
    if all(each.state != TO_DO for each in wanted):
        return wanted
    words = ["systemctl", "daemon-reload"]
    return [*wanted, Command(scene.machine, "systemd knows the new units", words)]


def has_new(files: Sequence[Action]) -> bool:
    """Whether any of these actions is to be done."""
    return any(each.state == TO_DO for each in files)


def enable(scene: Scene, *units: str, entries: Sequence[Entry] = ()) -> Action:
    """Return the action that has *units* run now and at every boot."""
    words = ["systemctl", "enable", "--now", *units]
    return Command(
        scene.machine,
        f"{' and '.join(units)} {'is' if len(units) == 1 else 'are'} enabled, and active",
        words,
        is_done=all(is_on(scene, unit) for unit in units),
        entries=[*entries, *(Entry(UNIT, unit) for unit in units)],
    )


def masked(scene: Scene, *units: str) -> str:
    """Return in words which of *units* are masked, and the command against it; empty: none."""
    found = [unit for unit in units if any(_is_mask(scene, each, unit) for each in _MASKS)]
    if not found:
        return ""
    verb = "is" if len(found) == 1 else "are"
    return f"{' and '.join(found)} {verb} masked: {shlex.join(['systemctl', 'unmask', *found])}"


def _is_mask(scene: Scene, folder: str, unit: str) -> bool:
    """Whether the folder has a link to /dev/null, or an empty file, in the place of *unit*."""
    path = scene.machine.path(f"{folder}/{unit}")
    if os.path.islink(path):
        return os.readlink(path) == os.devnull
    return os.path.isfile(path) and not os.path.getsize(path)


def is_on(scene: Scene, unit: str) -> bool:
    """Whether the unit is enabled and active, as systemd says."""
    machine = scene.machine
    return all(
        not machine.run(["systemctl", "--quiet", verb, unit]).status
        for verb in ("is-enabled", "is-active")
    )


def _add_load_unit(scene: Scene, part: Part) -> None:
    """Add the units that mount and load; where they run already, a reload for what is new.

    What a person has masked is left alone, and a note says it.
    """
    mask = masked(scene, MOUNT_UNIT, LOAD)
    if mask:
        part.notes.append(mask)
        return
    files: list[Action] = install_units(scene, MOUNT_UNIT, LOAD)
    files += scene.drop_in(LOAD, _settings(scene))
    part.actions += finish_units(scene, files)
    runs = is_on(scene, LOAD)
    entries = [Entry(DIRECTORY, PINS), Entry(MOUNT, MOUNT_UNIT)]
    part.actions.append(enable(scene, LOAD, entries=entries))
    if runs and (has_new(files) or not _is_loaded(scene)):
        words = ["systemctl", "reload", LOAD]
        part.actions.append(Command(scene.machine, "the iterators are of this version", words))


def _settings(scene: Scene) -> list[str]:
    """Return the settings by which a unit has another group than the one in its file."""
    return [] if scene.group == PINS_GROUP else [f"Environment=PINS_GROUP={scene.group}"]


def _add_load(scene: Scene, part: Part) -> None:
    """Add one call of load, and the line for the next boot."""
    words = [*scene.own.command.split(), "load", "--group", scene.group]
    part.actions.append(
        Command(
            scene.machine,
            f"the iterators are loaded, for the group {scene.group}",
            words,
            is_done=_is_loaded(scene),
            entries=[Entry(LOADED, PINS)],
        )
    )
    part.notes.append(
        "systemd doesn't run here: have this run at boot as root, before the agent:"
        f" {' '.join(words)}"
    )


def _is_loaded(scene: Scene) -> bool:
    """Whether the pins of this version are there, and the group's.

    Of those that `load` may leave out, as a kernel refuses them, none has to be there.
    """
    gid = scene.accounts.gid(scene.group)
    for program in PROGRAMS:
        try:
            if os.stat(scene.machine.path(pin_path(PINS, program))).st_gid != gid:
                return False
        except OSError:
            return False
    return True


def _add_names(scene: Scene, part: Part) -> None:
    """Add the units that tell the agent the names of containers, unless one is masked."""
    mask = masked(scene, NAMES_SERVICE, NAMES_PATH_UNIT, NAMES_TIMER)
    if mask:
        part.notes.append(mask)
        return
    files: list[Action] = install_units(scene, NAMES_SERVICE, NAMES_PATH_UNIT, NAMES_TIMER)
    files += scene.drop_in(NAMES_SERVICE, _settings(scene))
    part.actions += finish_units(scene, files)
    entries = [Entry(RUNTIME, NAMES_FOLDER)]
    part.actions.append(enable(scene, NAMES_PATH_UNIT, NAMES_TIMER, entries=entries))
