"""The policy modules that SELinux has: its store, which semodule(8) fills and only root may read.

Source: semanage.conf(5), semodule(8). Below /var/lib/selinux each policy has its modules by
priority and name; the file `hll` has the module as it was loaded, compressed by bzip2 unless
semanage.conf says otherwise.
"""

from __future__ import annotations

import glob

MODULE = "zabbix_sockets"
"""The name of our policy module."""
MODULE_FILE = f"selinux/{MODULE}.pp"
"""The file of conf/ that it is loaded from."""

_STORE = "/var/lib/selinux/*/active/modules/*"
_COMPRESSED = b"BZh"


def stored_modules(root: str = "") -> list[bytes]:
    """Return the bytes of our module in each policy and at each priority where it is.

    *root* is the folder that stands for "/". Empty bytes are of one that can't be read, as where
    Python lacks bz2, or semanage.conf has such files removed (remove-hll).
    """
    folders = glob.glob(f"{glob.escape(root)}{_STORE}/{MODULE}")
    return [_content(f"{folder}/hll") for folder in sorted(folders)]


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            stored = file.read()
        if not stored.startswith(_COMPRESSED):
            return stored
        from bz2 import decompress  # noqa: PLC0415  # some Pythons lack it

        return decompress(stored)
    except (OSError, ValueError, ImportError):
        return b""
