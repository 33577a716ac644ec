"""The folder in which a user's calls keep what is to outlive a boot (model.paths.state_folder).

Root makes it, and SELinux must let the agent's domain write there: the files of the policy module
(conf/selinux) give it the type of the agent's own folder below /run.
"""

from __future__ import annotations

import os
import stat

ENFORCE = "/sys/fs/selinux/enforce"
"""The file that is there where SELinux is on."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
TYPES = {"zabbix_var_run_t", "zabbix_runtime_t"}
"""The type as policies of Red Hat's and of Debian's kin call it."""
_ATTRIBUTE = "security.selinux"
_TYPE = 2  # of user:role:type:level


def is_private_folder(path: str, uid: int) -> bool:
    """Whether *path* is a folder of that user, and nobody else but root may write to it."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    is_private = status.st_uid == uid and not status.st_mode & _OTHERS_WRITE
    return stat.S_ISDIR(status.st_mode) and is_private


def is_for_agents_domain(path: str, root: str = "") -> bool:
    """Whether SELinux lets an agent in its domain write to the folder *path*, as it does where off.

    *root* is the folder that stands for "/".
    """
    if not os.path.exists(root + ENFORCE):
        return True
    try:
        context = os.getxattr(path, _ATTRIBUTE).decode("ascii", "replace")
    except OSError:
        return False
    return "".join(context.split(":")[_TYPE : _TYPE + 1]) in TYPES
