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


def _no_folder(*_: object, **__: object) -> None:
    """Have no place for the user's lock: others may hold it, and it is not what is tried."""
    raise PermissionError


class _Importing:
    """In the place of __import__: the import number *at* of what is not there yet fails."""

    def __init__(self, at: int, what: str, told: int) -> None:
        self._at = at
        self._what = what
        self._told = told
        self._count = 0

    def __call__(self, name: str, *rest: object, **options: object) -> object:
        """Import a module, or raise."""
        scope = rest[0] if rest else options.get("globals")
        level = rest[3] if len(rest) > 3 else options.get("level", 0)
        package = scope.get("__package__") if isinstance(scope, dict) else None
        whole = name
        if level and isinstance(level, int) and isinstance(package, str):
            parts = package.split(".")
            whole = ".".join([*parts[: len(parts) + 1 - level], name])
        if whole not in sys.modules:
            self._count += 1
            os.write(self._told, f"{whole}\n".encode())
            if self._count == self._at:
                if self._what == _NO_MEMORY:
                    raise MemoryError
                raise ModuleNotFoundError(f"No module named {whole!r}", name=whole)
        return _import(name, *rest, **options)  # type: ignore[arg-type]


def _run(arguments: list[str], at: int, what: str, told: int) -> None:
    """Be the command."""
    from zabbix_sockets.command.cli import main  # noqa: PLC0415  # what it needs itself nobody else can say

    os.mkdir = _no_folder
    builtins.__import__ = _Importing(at, what, told)  # type: ignore[assignment]
    main(arguments)


def _try(arguments: list[str], at: int, what: str) -> dict[str, object]:
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


def _print(run: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(run) + "\n")
    sys.stdout.flush()  # a child must not have it in its buffer, too


def main() -> None:
    """Run each command whole, then without each module that no command before has needed."""
    known = set()
    for arguments in json.load(sys.stdin):
        whole = _try(arguments, 0, "")
        _print(whole)
        modules = whole["modules"]
        assert isinstance(modules, list)
        for number, module in enumerate(modules, 1):
            if module not in known:
                known.add(module)
                _print(_try(arguments, number, _NO_MEMORY if number % 2 else _ABSENT))


main()
