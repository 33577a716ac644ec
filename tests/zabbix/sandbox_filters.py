"""Lets the kernel refuse system calls from here on, as a unit says; see sandbox.py.

Arguments: a JSON list of filters, each of them [error, rules]; then the command to go on with.
The error is that of whatever no rule names, 0 allows it, -1 kills the process. A rule is
[error, system call, conditions], all of which have to hold; a condition is [argument,
comparison, number, value].
"""

import ctypes
import errno
import json
import os
import sys
from typing import Any

_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_COMPARISONS = {"!=": 1, "==": 4, ">": 6, "&": 7}


class _Condition(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def _action(error: int) -> int:
    if error < 0:
        return _KILL_PROCESS
    return _ERRNO | error if error else _ALLOW


def load(error: int, rules: list[Any]) -> None:
    """Load one filter; those of other architectures than the machine's own end the process."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    filtering = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_action(error))))
    for instead, name, conditions in rules:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue  # this architecture or library has none
        compared = [
            _Condition(argument, _COMPARISONS[comparison], first, second)
            for argument, comparison, first, second in conditions
        ]
        failed = library.seccomp_rule_add_array(
            filtering,
            ctypes.c_uint32(_action(instead)),
            number,
            ctypes.c_uint(len(compared)),
            (_Condition * len(compared))(*compared),
        )
        _check(failed, name)
    _check(library.seccomp_load(filtering), "loading")
    library.seccomp_release(filtering)


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(-result, f"seccomp, {what}: {errno.errorcode.get(-result)}")


if __name__ == "__main__":
    for each in json.loads(sys.argv[1]):
        load(*each)
    os.execvp(sys.argv[2], sys.argv[2:])
