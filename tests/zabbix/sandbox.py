"""A systemd unit's own restrictions on a machine that systemd doesn't run.

Each setting of [Service] is translated into what systemd would do: mounts, a user without
capabilities, filters of system calls. See systemd.exec(5).
"""

import errno
import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from .stage import Stage, UnavailableError

_HERE = Path(__file__).parent
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CREDENTIALS = "credentials"
_DYNAMIC = 61184  # the first of those that systemd keeps for such users
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
_MOST_FAMILIES = 64
_WRITE, _EXECUTE, _SHM_EXECUTE = 2, 4, 0o100000
_NAMESPACES = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_REALTIME = (1, 2, 6)
KILLED = -1  # instead of an error's number: the process dies of SIGSYS

NOT_HERE = {
    "NotifyAccess": "the test itself listens, and checks who is ready",
    "Restart": "the test fails where it ends",
    "RestartSec": "as Restart",
    "RestartPreventExitStatus": "as Restart",
    "WatchdogSec": "the test checks that it tells it is alive, and nobody kills it",
    "RemoveIPC": "what a stopped unit leaves behind; it makes no IPC objects",
    "KillMode": "the test signals the main process; zabbix_sender ends by itself",
    "SystemCallArchitectures": "every filter of libseccomp is for the native one alone",
    "RemainAfterExit": "nobody asks whether it is active; the test runs ExecStop by itself",
    "TimeoutStartSec": "the test waits as long, and fails then",
}
"""Settings that mean nothing without systemd, each with its reason."""

Settings = Mapping[str, list[str]]
"""The lines of [Service] by name; an empty one forgets those before, and is kept."""


def parse(*files: Path) -> dict[str, list[str]]:
    """Return the settings of a unit and its drop-ins."""
    settings: dict[str, list[str]] = {}
    for file in files:
        section = ""
        for line in file.read_text().splitlines():
            if line.startswith("["):
                section = line.strip("[] ")
            elif section == "Service" and line and line[0] not in "#;":
                name, _, value = line.partition("=")
                settings[name] = [*settings.get(name, []), value] if value else [""]
    return settings


# Prints what became of a call: "done", or the name of its error.
_ATTEMPT = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what, call, *arguments):
    try:
        result = call(*arguments)
        said = errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else "done"
    except OSError as error:
        said = errno.errorcode[error.errno]
    print(what, said)
"""


@dataclass(slots=True)
class Sandbox:
    """What the settings come to."""

    settings: Settings
    stage: Stage
    root: Path
    user: str = ""
    uid: int = 0
    group: str = ""
    steps: list[list[str]] = field(default_factory=list)
    filters: list[Any] = field(default_factory=list)
    setpriv: list[str] = field(default_factory=list)
    writable: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    umask: str = "0022"
    unshare: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        """Where the unit's StateDirectory= is kept."""
        (name,) = self.settings["StateDirectory"]
        return self.root / "lib/private" / name

    @property
    def exec_start(self) -> list[str]:
        """The unit's own command line."""
        return self.exec_line("ExecStart")

    def exec_line(self, name: str) -> list[str]:
        """Return the command line of ExecStart=, ExecStop= or ExecReload=, with its variables."""
        (line,) = self.settings[name]
        for variable, value in self.environment.items():
            line = line.replace(f"${{{variable}}}", value)
        assert "$" not in line
        return shlex.split(line)

    def command(self, command: Iterable[str], *, pins: bool, **environment: str) -> list[str]:
        """Return *command* as the unit would run it, with the iterators or without."""
        python = [str(self.stage.python), "-I", "-c"]
        variables = {**self.environment, **environment}
        inner = ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), *command]
        filtered = [*python, _script("filters"), json.dumps(self.filters), *inner]
        mounted = [*python, _script("mounts"), json.dumps(self.steps)]
        umask = ["sh", "-c", 'umask "$0" && exec "$@"', self.umask]
        lowered = [*umask, "setpriv", *self.setpriv, *filtered]
        return ["unshare", *self.unshare, *self.stage.inside([*mounted, *lowered], pins=pins)]

    def probe(self, script: str) -> list[str]:
        """Return the lines that a script of Python prints, which has `attempt` and `libc`."""
        python = [str(self.stage.python), "-I", "-c", _ATTEMPT + script]
        answer = subprocess.run(
            self.command(python, pins=True), capture_output=True, text=True, check=False
        )
        assert (answer.returncode, answer.stderr) == (0, "")
        return answer.stdout.splitlines()

    def one(self, name: str) -> str:
        """Return the last value of a setting."""
        return self.settings[name][-1] if name in self.settings else ""

    def words(self, name: str) -> list[str]:
        """Return the words of all its lines."""
        return " ".join(self.settings.get(name, [])).split()

    def refuse(self, rules: Iterable[tuple[str, list[Any]]], error: int = errno.EPERM) -> None:
        """Add a filter: these system calls fail, where the conditions hold."""
        self.filters.append([0, [[error, name, conditions] for name, conditions in rules]])


def _script(name: str) -> str:
    return (_HERE / f"sandbox_{name}.py").read_text()


@cache
def system_calls(name: str) -> frozenset[str]:
    """Return the names in a set, such as @system-service, with those of the sets in it."""
    if not name.startswith("@"):
        return frozenset({name})
    command = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as exc:
        raise UnavailableError("no systemd-analyze to say what its sets have") from exc
    words = [line.strip() for line in answer.stdout.splitlines()[1:]]
    return frozenset().union(*(system_calls(word) for word in words if word[:1] not in ("#", "")))


def _user(box: Sandbox) -> None:
    """A user of DynamicUser=: nss-systemd knows it by its name, here a copy of /etc does."""
    box.user, box.group, box.uid = box.one("User"), box.one("Group"), _DYNAMIC
    etc = box.root / "etc"
    subprocess.run(["cp", "-a", "/etc", str(etc)], check=True)
    (gid,) = (
        line.split(":")[2]
        for line in (etc / "group").read_text().splitlines()
        if line.startswith(f"{box.group}:")
    )
    with (etc / "passwd").open("a") as file:
        file.write(f"{box.user}:x:{box.uid}:{gid}:Dynamic User:/:/usr/sbin/nologin\n")
    box.steps.append(["bind", str(etc), "/etc"])
    box.setpriv += ["--reuid", str(box.uid), "--regid", gid, "--clear-groups"]
    box.environment |= {"HOME": "/", "USER": box.user, "LOGNAME": box.user}


def _real_user(box: Sandbox) -> None:
    """A user that is there: root alone, who has no groups then but its own."""
    if box.one("DynamicUser") == "yes":
        return
    assert box.one("User") == "root"
    assert not box.one("Group")
    box.user, box.group, box.uid = "root", "root", 0
    box.setpriv += ["--reuid", "0", "--regid", "0", "--clear-groups"]
    box.environment |= {"HOME": "/root", "USER": "root", "LOGNAME": "root"}


def _environment(box: Sandbox) -> None:
    for word in box.words("Environment"):
        name, _, value = word.partition("=")
        box.environment[name] = value


def _state(box: Sandbox) -> None:
    """The directory of a dynamic user is behind a link, which leads where it can't be changed."""
    box.state.mkdir(parents=True)
    os.chown(box.state, box.uid, -1)
    box.state.chmod(int(box.one("StateDirectoryMode"), 8))
    (box.root / "lib" / box.state.name).symlink_to(f"private/{box.state.name}")
    box.steps.append(["bind", str(box.root / "lib"), "/var/lib"])
    box.writable.append(f"/var/lib/private/{box.state.name}")
    box.environment["STATE_DIRECTORY"] = f"/var/lib/{box.state.name}"


def _credentials(box: Sandbox) -> None:
    """Copies that the unit's user alone may read; systemd has them below /run."""
    folder = f"/var/lib/{_CREDENTIALS}"
    (box.root / "lib" / _CREDENTIALS).mkdir()
    for line in box.settings["LoadCredential"]:
        name, _, path = line.partition(":")
        box.steps.append(["hand_over", path, f"{folder}/{name}", str(box.uid)])
    box.environment["CREDENTIALS_DIRECTORY"] = folder


def _temporary(box: Sandbox) -> None:
    box.steps += [["private", "/tmp"], ["private", "/var/tmp"]]
    box.writable += ["/tmp", "/var/tmp"]


def _capabilities(box: Sandbox) -> None:
    def listed(name: str) -> str:
        words = [word.removeprefix("CAP_").lower() for word in box.words(name)]
        return ",".join(["-all", *(f"+{word}" for word in words)])

    ambient = listed("AmbientCapabilities")
    box.setpriv += ["--bounding-set", listed("CapabilityBoundingSet")]
    box.setpriv += ["--inh-caps", ambient, "--ambient-caps", ambient]


def _devices(box: Sandbox) -> None:
    box.steps.append(["devices"])
    box.refuse((name, []) for name in system_calls("@raw-io"))


def _memory(box: Sandbox) -> None:
    both = _WRITE | _EXECUTE
    calls = [("mmap", [[2, "&", both, both]]), ("shmat", [[2, "&", _SHM_EXECUTE, _SHM_EXECUTE]])]
    protect = [[2, "&", _EXECUTE, _EXECUTE]]
    box.refuse([*calls, ("mprotect", protect), ("pkey_mprotect", protect)])


def _families(box: Sandbox) -> None:
    names = [name for name in box.words("RestrictAddressFamilies") if name != "none"]
    allowed = {_FAMILIES[name] for name in names}
    others = [[0, "==", number, 0] for number in range(_MOST_FAMILIES) if number not in allowed]
    others.append([0, ">", _MOST_FAMILIES - 1, 0])
    box.refuse((("socket", [each]) for each in others), errno.EAFNOSUPPORT)


def _namespaces(box: Sandbox) -> None:
    flags = [("clone", [[0, "&", flag, flag]]) for flag in _NAMESPACES]
    box.refuse([("unshare", []), ("setns", []), *flags])
    box.refuse([("clone3", [])], errno.ENOSYS)


def _suid(box: Sandbox) -> None:
    rules: list[tuple[str, list[Any]]] = []
    for bit in (0o4000, 0o2000):
        for at, names in ((1, ("chmod", "fchmod", "mkdir", "mknod")), (2, ("fchmodat", "mkdirat"))):
            rules += [(name, [[at, "&", bit, bit]]) for name in names]
        rules.append(("open", [[1, "&", os.O_CREAT, os.O_CREAT], [2, "&", bit, bit]]))
        rules.append(("openat", [[2, "&", os.O_CREAT, os.O_CREAT], [3, "&", bit, bit]]))
    box.refuse(rules)


def _hostname(box: Sandbox) -> None:
    box.unshare.append("--uts")
    box.refuse([("sethostname", []), ("setdomainname", [])])


def _modules(box: Sandbox) -> None:
    box.steps.append(["hide", "/usr/lib/modules"])
    box.refuse((name, []) for name in system_calls("@module"))


def _logs(box: Sandbox) -> None:
    box.steps.append(["hide_file", "/proc/kmsg"])
    box.refuse([("syslog", [])])


def _system_calls(box: Sandbox) -> None:
    """What is allowed, and always @default; a ~ takes away from what is there by then."""
    allowed = set(system_calls("@default"))
    for line in box.settings["SystemCallFilter"]:
        names = set[str]().union(*map(system_calls, line.removeprefix("~").split()))
        allowed = allowed - names if line.startswith("~") else allowed | names
    error = box.one("SystemCallErrorNumber")
    otherwise = getattr(errno, error) if error else KILLED
    box.filters.append([otherwise, [[0, name, []] for name in sorted(allowed)]])


def _strict(box: Sandbox) -> None:
    assert box.one("ProtectSystem") == "strict"
    box.steps.append(["all_read_only", *box.writable])


def _nothing(_: Sandbox) -> None:
    """Apply nothing: the setting is applied with another, or by the test."""


def _in_order() -> dict[str, Callable[[Sandbox], None]]:
    """Return who applies which setting: mounts from those that others cover to the last."""
    return {
        "Type": _nothing,
        "Environment": _environment,
        "ExecStart": _nothing,
        "ExecStop": _nothing,
        "ExecReload": _nothing,
        "TimeoutStopSec": _nothing,
        "DynamicUser": _user,
        "User": _real_user,
        "Group": _nothing,
        "StateDirectory": _state,
        "StateDirectoryMode": _nothing,
        "LoadCredential": _credentials,
        "UMask": lambda box: setattr(box, "umask", box.one("UMask")),
        "CapabilityBoundingSet": _capabilities,
        "AmbientCapabilities": _nothing,
        "NoNewPrivileges": lambda box: box.setpriv.append("--no-new-privs"),
        "PrivateMounts": _nothing,
        "ProtectHome": lambda box: box.steps.extend(
            ["hide", path] for path in ("/home", "/root", "/run/user")
        ),
        "ProtectKernelModules": _modules,
        "ProtectKernelLogs": _logs,
        "PrivateTmp": _temporary,
        "PrivateDevices": _devices,
        "ProtectKernelTunables": lambda box: box.steps.extend(
            ["read_only", path] for path in ("/proc/sys", "/sys")
        ),
        "ProtectControlGroups": lambda box: box.steps.append(["read_only", "/sys/fs/cgroup"]),
        "PrivateNetwork": lambda box: box.unshare.append("--net"),
        "ReadWritePaths": lambda box: box.writable.extend(box.words("ReadWritePaths")),
        "ProtectSystem": _strict,
        "ProtectClock": lambda box: box.refuse((name, []) for name in system_calls("@clock")),
        "ProtectHostname": _hostname,
        "LockPersonality": lambda box: box.refuse([("personality", [[0, "!=", 0, 0]])]),
        "MemoryDenyWriteExecute": _memory,
        "RestrictAddressFamilies": _families,
        "RestrictNamespaces": _namespaces,
        "RestrictRealtime": lambda box: box.refuse(
            ("sched_setscheduler", [[1, "==", policy, 0]]) for policy in _REALTIME
        ),
        "RestrictSUIDSGID": _suid,
        "SystemCallErrorNumber": _nothing,
        "SystemCallFilter": _system_calls,
    }


APPLIED = _in_order()
"""Who applies a setting."""


def sandbox(settings: Settings, stage: Stage, root: Path) -> Sandbox:
    """Return the sandbox of a unit; *root* has the directories that stand in for the machine's."""
    box = Sandbox(settings, stage, root)
    for name, apply in APPLIED.items():
        if name in settings and box.one(name) != "no":
            apply(box)
    return box
