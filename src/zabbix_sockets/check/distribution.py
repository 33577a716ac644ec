"""The distribution of the host, for the command that installs what is missing: os-release(5)."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from zabbix_sockets.check.system import System

_FILES = ("/etc/os-release", "/usr/lib/os-release")
_MANAGERS = {
    **dict.fromkeys(("debian", "ubuntu"), "apt install"),
    **dict.fromkeys(("rhel", "fedora", "centos", "amzn"), "dnf install"),
    **dict.fromkeys(("suse", "opensuse", "sles"), "zypper install"),
    "arch": "pacman -S",
    "alpine": "apk add",
}
"""The command that installs a package, by ID or ID_LIKE."""

_OLD_LIBBPF = {("debian", "11"), ("ubuntu", "20.04"), ("ubuntu", "20.10"), ("ubuntu", "21.04"),
               ("ubuntu", "21.10"), ("ubuntu", "22.04")}  # fmt: skip
"""The releases whose libbpf is older than 1.0, and has its package called libbpf0."""


_SENDER_IN_AGENT = {("debian", "12"), ("ubuntu", "24.04")}
"""The releases whose own packages have a zabbix_sender of 6.0 or later in zabbix-agent; older
releases have one that is too old. zabbix.com's packages have it in zabbix-sender."""


def release_of(system: System) -> dict[str, str]:
    """Return the fields of the host's os-release by name; none if it has no such file."""
    text = next(filter(None, map(system.read, _FILES)), "")
    fields = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            try:
                fields[name.strip()] = " ".join(shlex.split(value))
            except ValueError:
                continue  # a quotation mark too many
    return fields


def install(system: System, package: str) -> str:
    """Return the command that installs *package*, as it is called everywhere; empty: not known.

    Packages are called differently: libbpf is libbpf1 or libbpf0 in Debian's family, and
    zabbix_sender came with zabbix-agent before Debian 13.
    """
    release = release_of(system)
    families = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    family = next((each for each in families if each in _MANAGERS), "")
    manager = _MANAGERS.get(family, "")
    if not manager:
        return ""
    command = f"{manager} {_called(package, family, release)}"
    if package == "zabbix-sender" and _is_one_of(release, _SENDER_IN_AGENT):
        command += f" || {manager} zabbix-agent"
    return command


def newer_libbpf(system: System) -> str:
    """Return the command that installs a libbpf of version 1; empty: the release may have none."""
    command = install(system, "libbpf")
    return command if command.endswith(("libbpf1", "-S libbpf", "add libbpf")) else ""


def _is_one_of(release: dict[str, str], releases: Collection[tuple[str, str]]) -> bool:
    return (release.get("ID", ""), release.get("VERSION_ID", "")) in releases


def _called(package: str, family: str, release: dict[str, str]) -> str:
    if package != "libbpf":
        return package
    if family in ("debian", "ubuntu"):
        return "libbpf0" if _is_one_of(release, _OLD_LIBBPF) else "libbpf1"
    return "libbpf1" if family in ("suse", "opensuse", "sles") else "libbpf"
