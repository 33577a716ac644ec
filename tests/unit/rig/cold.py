"""A fresh interpreter that runs the command many times, each time without one more module.

Run by test_imports with `python3 -I`: its standard input is JSON, a list of commands, each a list
of arguments; its output has a line of JSON for each run. Nothing of the package may be imported
here, nor more of the standard library than this needs.
"""

import builtins
import json
import os
import sys
import time

_import = builtins.__import__
_ABSENT, _NO_MEMORY = "no module", "no memory"


def _no_folder(*_, **__):  # type: ignore[no-untyped-def]
    """Have no place for the user's lock: others may hold it, and it is not what is tried."""
    raise PermissionError


def _run(arguments, at, what, told):  # type: ignore[no-untyped-def]
    """Be the command; the import number *at* of a module that is not there yet fails."""
    count = 0

    def importing(name, *rest, **options):  # type: ignore[no-untyped-def]
        nonlocal count
        scope = rest[0] if rest else options.get("globals")
        level = rest[3] if len(rest) > 3 else options.get("level", 0)  # noqa: PLR2004
        whole = name
        if level and scope:
            package = scope.get("__package__") or ""
            whole = ".".join([*package.split(".")[: len(package.split(".")) + 1 - level], name])
        if whole not in sys.modules:
            count += 1
            os.write(told, f"{whole}\n".encode())
            if count == at:
                if what == _NO_MEMORY:
                    raise MemoryError
                raise ModuleNotFoundError(f"No module named {whole!r}", name=whole)
        return _import(name, *rest, **options)

    from zabbix_sockets.cli import main  # what it needs itself nobody else can say

    os.mkdir = _no_folder
    builtins.__import__ = importing
    main(arguments)


def _try(arguments, at, what):  # type: ignore[no-untyped-def]
    """Return what became of the command, and the modules that it looked for."""
    out, err, told = (os.memfd_create(name) for name in ("out", "err", "told"))
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        try:
            os.dup2(out, 1)
            os.dup2(err, 2)
            _run(arguments, at, what, told)
        finally:
            os._exit(99)
    _, status = os.waitpid(pid, 0)
    texts = [os.pread(fd, os.fstat(fd).st_size, 0).decode() for fd in (out, err, told)]
    for fd in (out, err, told):
        os.close(fd)
    return {
        "arguments": arguments,
        "module": (texts[2].splitlines() or [""])[-1] if at else "",
        "what": what,
        "status": os.waitstatus_to_exitcode(status),
        "out": texts[0],
        "err": texts[1],
        "seconds": time.monotonic() - started,
        "modules": texts[2].splitlines() if not at else [],
    }


def main():  # type: ignore[no-untyped-def]
    """Run each command whole, then without each module that no command before has needed."""
    known = set()
    for arguments in json.load(sys.stdin):
        whole = _try(arguments, 0, "")
        print(json.dumps(whole), flush=True)
        for number, module in enumerate(whole["modules"], 1):
            if module not in known:
                known.add(module)
                what = _NO_MEMORY if number % 2 else _ABSENT
                print(json.dumps(_try(arguments, number, what)), flush=True)


main()
