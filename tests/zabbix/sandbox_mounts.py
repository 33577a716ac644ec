"""Makes the mounts of a unit in a mount namespace that is this process's own; see sandbox.py.

Arguments: a JSON list of steps, each a name and its arguments; then the command to go on with.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable

_NODES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
_API = ("/proc", "/sys", "/dev")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)  # as root, of the tests


def bind(source: str, target: str) -> None:
    """Show *source* at *target*."""
    _mount("--bind", source, target)


def hide(path: str) -> None:
    """Make a directory inaccessible, if it is there."""
    if os.path.isdir(path):
        _mount("-t", "tmpfs", "-o", "mode=000,size=0", "tmpfs", path)


def hide_file(path: str) -> None:
    """Make a file one that nobody has something from."""
    if os.path.exists(path):
        _mount("--bind", "/dev/null", path)


def hand_over(source: str, target: str, uid: str) -> None:
    """Give one user a copy of a file, which nobody else may read."""
    shutil.copy(source, target)
    os.chmod(target, 0o400)
    os.chown(target, int(uid), 0)


def private(path: str) -> None:
    """Make a directory for temporary files empty, and the unit's own."""
    _mount("-t", "tmpfs", "-o", "mode=1777,nosuid,nodev", "tmpfs", path)


def devices() -> None:
    """Leave the devices that are none."""
    _mount("-t", "tmpfs", "-o", "mode=755,nosuid", "tmpfs", "/dev")
    for name, minor in _NODES.items():
        os.mknod(f"/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(1, minor))
        os.chmod(f"/dev/{name}", 0o666)
    os.symlink("/proc/self/fd", "/dev/fd")
    os.mkdir("/dev/shm", 0o1777)
    os.chmod("/dev/shm", 0o1777)
    _mount("-o", "remount,ro,noexec,nosuid", "/dev")


def read_only(path: str) -> None:
    """Make one directory read-only, with what is mounted below it."""
    if not os.path.exists(path):
        return
    if path not in _mounted():
        _mount("--rbind", path, path)
    for each in _mounted():
        if each == path or each.startswith(path + "/"):
            _mount("-o", "remount,bind,ro", each)


def all_read_only(*writable: str) -> None:
    """Make everything read-only, but for the kernel's own file systems and these directories."""
    for each in writable:
        if each not in _mounted():
            bind(each, each)
    for each in _mounted():
        if each not in writable and not each.startswith(_API):
            _mount("-o", "remount,bind,ro", each)


def _mounted() -> list[str]:
    """Return what is mounted and not covered by what was mounted later."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        fields = [line.split()[4] for line in file]
    paths = [field.encode().decode("unicode_escape") for field in fields]
    return [
        path
        for at, path in enumerate(paths)
        if not any(path == later or path.startswith(later + "/") for later in paths[at + 1 :])
    ]


STEPS: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (bind, hide, hide_file, hand_over, private, devices, read_only, all_read_only)
}

if __name__ == "__main__":
    for name, *arguments in json.loads(sys.argv[1]):
        STEPS[name](*arguments)
    os.chdir("/")
    os.execvp(sys.argv[2], sys.argv[2:])
