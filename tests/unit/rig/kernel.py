"""The fake kernel: what the package calls, in the place of the real one.

It answers from one scene: by its files, by netlink, by the iterators' records. Each call is a
step, at one of which a trial lets something go wrong. It is installed for good: in a process
that was forked for that. The command itself runs against it, with its defaults.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

from zabbix_sockets.command.admitted import file_name
from zabbix_sockets.readers.bpf import records

from . import iterators, procfiles
from .faults import Trial
from .files import REAL, Files
from .network import Network
from .processes import Processes
from .scene import OWN, Process, Scene, Socket
from .steps import Steps


class Kernel:
    """A host of *scene*, whose files are below *root*.

    *share*: a name for locks of its own, where several calls run at the same time.

    Attributes:
        admitted: the path of the file of those who are admitted to discovery.
    """

    def __init__(self, root: Path, scene: Scene, share: str = "") -> None:
        self.root = root
        self.scene = scene
        shared = root / (f"dev/shm-{share}" if share else "dev/shm")
        self.admitted = shared / f"zabbix-sockets-{os.geteuid()}" / file_name("process")
        self.step = Steps(scene)
        self.files = Files(root, scene, self.step, share)
        self.processes = Processes(scene, self.step, self.files.paths)
        self._network = Network(scene, self.step, self.files.paths, self._cgroup_of)
        self._by_pid = {each.pid: each for each in scene.processes}
        _names(len(sys.modules))  # once, and not in each process that is forked

    def write(self) -> Kernel:
        """Make the files; return itself."""
        procfiles.write(self.root, self.scene)
        if self.scene.has_pins:
            for program, data in iterators.records(self.scene, self._cgroup).items():
                pin = os.path.basename(records.pin_path("", program))
                (self.root / "run/zabbix-sockets" / pin).write_bytes(data)
        return self

    def beside(self, share: str) -> Kernel:
        """Return another one with the same files but for its locks."""
        (self.root / f"dev/shm-{share}").mkdir()
        return Kernel(self.root, self.scene, share)

    def admit(self, known: bytes | None) -> None:
        """Let that be the file of those who are admitted to discovery; None: there is none."""
        self.admitted.parent.mkdir(0o700, exist_ok=True)
        self.admitted.unlink(missing_ok=True)
        if known is not None:
            self.admitted.write_bytes(known)

    def begin(self, trial: Trial | None = None) -> None:
        """Forget what has been, and let *trial* go wrong from now on."""
        self.step.begin(trial)

    @property
    def is_at_home(self) -> bool:
        """Whether the thread is in its own network namespace."""
        return self.step.netns == OWN

    def install(self) -> None:
        """Put the fake functions in the place of the real ones, wherever these are known."""
        fakes: dict[int, Callable[..., object]] = {}

        def replace(module: object, name: str, fake: Callable[..., object]) -> None:
            fakes[id(getattr(module, name, fake))] = fake
            setattr(module, name, fake)

        for part in (self.files, self.processes, self._network):
            part.install(replace)
        for module, name, known in _names(len(sys.modules)):
            if known in fakes:
                setattr(module, name, fakes[known])

    def _cgroup_of(self, each: Socket) -> int:
        return self._cgroup(self._by_pid[each.holders[0]]) if each.holders else 0

    def _cgroup(self, process: Process) -> int:
        """Return the id of a process's cgroup."""
        return int(REAL["stat"](f"{self.root}/sys/fs/cgroup{process.cgroup}").st_ino)


@cache
def _names(_modules: int) -> list[tuple[ModuleType, str, int]]:
    """Return where the package has names of others' functions, and the id of each.

    *_modules*: how many there are; with more of them it is looked again.
    """
    return [
        (module, name, id(value))
        for module_name, module in sys.modules.items()
        if module_name.startswith("zabbix_sockets") or module_name == "threading"
        for name, value in vars(module).items()
        if callable(value)
    ]
