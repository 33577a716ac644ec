"""Where this installation's own files are, and how others are to call its command.

A package has the command /usr/bin/zabbix-sockets, and what an administrator may copy in
/usr/share/zabbix-sockets; pip has both in the environment's own folder.
"""

from __future__ import annotations

import os
import shlex
import sys

COMMAND = "/usr/bin/zabbix-sockets"
"""The command as the files in conf/ name it: that of a package."""

_PACKAGED_CODE = "/usr/lib/zabbix-sockets/"
_PACKAGED_SHARE = "/usr/share/zabbix-sockets"
_LINK = "/opt/zabbix-sockets"
_ABOVE = ("/opt", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/lib")
"""Folders above installations, which everybody may enter on any host."""
_MODULE = "-I -m zabbix_sockets"


def _code() -> str:
    """Return the folder of the package's modules."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def is_packaged() -> bool:
    """Whether this code was installed by the package of a distribution, and not by pip."""
    return _code().startswith(_PACKAGED_CODE)


def share_folder() -> str:
    """Return the folder that has conf/ and zabbix_templates/."""
    return _PACKAGED_SHARE if is_packaged() else os.path.join(_code(), "share")


def conf_path(name: str) -> str:
    """Return the path of the file *name* of conf/."""
    return os.path.join(share_folder(), "conf", name)


def command() -> str:
    """Return how to call this installation's command, in words with blanks between them.

    An environment that the link /opt/zabbix-sockets leads to is called by that, which later leads
    to a newer one.
    """
    if is_packaged():
        return COMMAND
    prefix = sys.prefix
    if os.path.realpath(_LINK) == os.path.realpath(prefix):
        prefix = _LINK
    return f"{os.path.join(prefix, 'bin', 'python3')} {_MODULE}"


def with_command(text: str, words: str) -> str:
    """Return *text*, of a file in conf/, which calls the command by *words* instead of COMMAND."""
    return text.replace(COMMAND, words)


def opening(path: str) -> str:
    """Return the command that lets everybody read *path*, which is closed; empty: none should.

    It is for what belongs to an installation of this package. Whatever else is closed, such as
    root's home, or a file that an agent's user names in a configuration, has its reason.
    """
    if path in _ABOVE:
        return shlex.join(["chmod", "a+rx", path])
    places = [_PACKAGED_CODE.rstrip("/"), _PACKAGED_SHARE, COMMAND, _LINK]
    if sys.prefix != sys.base_prefix:
        places += [os.path.abspath(sys.prefix), os.path.realpath(sys.prefix)]
    is_own = any(path == each or path.startswith(f"{each}/") for each in places)
    is_dated = path.startswith(f"{_LINK}-")
    is_plain = os.path.normpath(path) == path
    return shlex.join(["chmod", "-R", "a+rX", path]) if is_plain and (is_own or is_dated) else ""
