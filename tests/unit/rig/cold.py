"""A fresh interpreter that runs the command many times, each time without one more module.

Run by test_imports with `python3 -I`: its standard input has a line of JSON for each run: the
arguments of the command, the number of the import that fails (0: none), and what goes wrong there.
For each there is a line of JSON on its output. Nothing of the package may be imported here, nor
more of the standard library than this needs.
"""

import builtins
import json
import os
import sys
import time

_import = builtins.__import__
_NO_MEMORY = "no memory"


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
            importer = scope.get("__name__", "") if isinstance(scope, dict) else ""
            code = sys._getframe(1).f_code
            function = getattr(code, "co_qualname", code.co_name)  # from Python 3.11 on
            os.write(self._told, f"{whole} {importer}:{function}\n".encode())
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
    """Return what became of the command, and if nothing fails what it imports, and where."""
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
    imports = [line.split(" ", 1) for line in texts[2].splitlines()]
    return {
        "arguments": arguments,
        "module": imports[at - 1][0] if 0 < at <= len(imports) else "",
        "what": what,
        "status": os.waitstatus_to_exitcode(status),
        "out": texts[0],
        "err": texts[1],
        "seconds": time.monotonic() - started,
        "imports": [] if at else imports,
    }


def main() -> None:
    """Run what is asked for."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_try(*json.loads(line))) + "\n")
        sys.stdout.flush()  # a child must not have it in its buffer, too


main()
