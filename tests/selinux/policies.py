"""SELinux policies, made of Debian's modules and ours, and the rules that are in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
OURS = ROOT / "conf" / "selinux" / "zabbix_sockets.pp"
SOURCE = OURS.with_suffix(".te")
_SHIPPED = ROOT / ".cache" / "selinux" / "usr" / "share" / "selinux" / "default"
_FEW = ("base", "unconfined", "zabbix")
_RULE = re.compile(r"allow (\S+) (\S+):(\S+) (?:\{ ([^}]+) \}|(\S+));(.*)")


class Permission(NamedTuple):
    """One permission of an allow rule.

    Attributes:
        source: the domain, or an attribute of it, that has it.
        target: the type, or an attribute of it, of what it is for.
        kind: the object class, such as "file".
        name: the permission's name, such as "read".
        condition: the boolean on which it depends; "" for none.
    """

    source: str
    target: str
    kind: str
    name: str
    condition: str = ""


def parse_permissions(rules: Iterable[str]) -> set[Permission]:
    """Return each permission of the allow rules among the lines *rules*; "self" is resolved."""
    found = set()
    for rule in rules:
        match = _RULE.fullmatch(rule)
        if match:
            source, target, kind, several, one, condition = match.groups()
            target = source if target == "self" else target
            for name in (several or one).split():
                found.add(Permission(source, target, kind, name, condition.strip()))
    return found


class Policy:
    """What a binary policy says, by sesearch and seinfo.

    Attributes:
        permissions: those of all allow rules.
        transitions: the lines of all type_transition rules.
    """

    def __init__(self, path: Path) -> None:
        self.permissions = parse_permissions(_lines("sesearch", "-A", path))
        self.transitions = set(_lines("sesearch", "-T", path))
        self._names: dict[str, set[str]] = {}
        for line in _lines("seinfo", path, "-x", "-t"):
            match = re.fullmatch(r"\s+type (\w+)(?: alias (?:(\w+)|\{ ([^}]+) \}))?(.*);", line)
            if match:
                name, alias, aliases, attributes = match.groups()
                names = {name, *attributes.replace(",", " ").split()}
                for each in (name, *(alias or aliases or "").split()):
                    self._names[each] = names

    def allowed(self, domain: str, target: str, kind: str) -> set[str]:
        """Return the names of the permissions that *domain* has by rules without a condition."""
        sources, targets = self._names[domain], self._names[target]
        return {
            each.name
            for each in self.permissions
            if each.source in sources
            and each.target in targets
            and (each.kind, each.condition) == (kind, "")
        }

    def names_of(self, name: str) -> set[str]:
        """Return the name of the type that may also be called *name*, and its attributes."""
        return self._names[name]


def _lines(program: str, *arguments: str | Path) -> list[str]:
    found = subprocess.run([program, *arguments], check=True, capture_output=True, encoding="utf-8")
    return found.stdout.splitlines()


def is_there() -> bool:
    """Whether Debian's modules are unpacked and the tools to join and to ask them installed."""
    tools = ("semodule_link", "semodule_expand", "sesearch", "seinfo", "bzip2")
    return (_SHIPPED / "base.pp.bz2").exists() and all(map(shutil.which, tools))


def unpack_modules(folder: Path, *, every: bool) -> list[Path]:
    """Unpack Debian's modules into *folder*; return their paths, the base first.

    They are all or, unless *every* is true, those that have to do with an agent.
    """
    names = sorted(path.name.partition(".")[0] for path in _SHIPPED.glob("*.pp.bz2"))
    chosen = [name for name in names if every or name in _FEW]
    modules = []
    for name in sorted(chosen, key=lambda name: (name != "base", name)):
        modules.append(folder / f"{name}.pp")
        with modules[-1].open("wb") as file:
            subprocess.run(["bzip2", "-dc", _SHIPPED / f"{name}.pp.bz2"], stdout=file, check=True)
    return modules


def link(modules: Iterable[Path], policy: Path) -> Policy:
    """Join *modules*, of which the first is the base, to the file *policy*; return that policy."""
    linked = policy.with_suffix(".linked")
    subprocess.run(["semodule_link", "-o", linked, *modules], check=True, capture_output=True)
    subprocess.run(["semodule_expand", linked, policy], check=True, capture_output=True)
    return Policy(policy)
