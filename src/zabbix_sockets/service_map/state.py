"""The state file of a map: its lines, and when what is drawn was last there."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from typing import Any, NamedTuple

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.readers.files import read_regular

_MAX_BYTES = 64 << 20
_VERSION = 1


class Seen(NamedTuple):
    """What is remembered of one sheet.

    Attributes:
        elements: the moment at which each element was there last, in Unix seconds, by key.
        lines: the same of each line, by the keys of its elements with a tab between them.
        links: the ids of lines on the server, by the same keys.
        labels: labels with figures of a drawing, each with its moment, by the same keys.
    """

    elements: dict[str, int]
    lines: dict[str, int]
    links: dict[str, str]
    labels: dict[str, tuple[str, int]]


def nothing_seen() -> Seen:
    """Return the state of a sheet that was never drawn: it is empty."""
    return Seen({}, {}, {}, {})


def default_path(url: str, name: str, environment: dict[str, str]) -> str:
    """Return the path of the state file of a map of a server, in the user's own folder."""
    folder = environment.get("XDG_STATE_HOME") or os.path.join(
        environment.get("HOME") or "/var/lib", ".local", "state"
    )
    digest = hashlib.sha256(f"{url}\n{name}".encode()).hexdigest()[:16]
    return os.path.join(folder, "zabbix-sockets", f"map-{digest}.json")


def read_state(path: str) -> dict[str, Seen]:
    """Return the state of each sheet by its name; empty where there is no file.

    Raises:
        SocketsError: it can't be read, or is none.
    """
    try:
        content = json.loads(read_regular(path, _MAX_BYTES))
        if content["version"] != _VERSION:
            raise ValueError
        return {name: _seen_of(sheet) for name, sheet in content["sheets"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SocketsError(f"{path}: {error.strerror}") from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        hint = "move it away: the next run draws without it, and takes its own lines for its own"
        raise SocketsError(f"{path}: no state of a map", hint) from None


def _seen_of(sheet: dict[str, Any]) -> Seen:
    return Seen(
        {str(key): int(seen) for key, seen in sheet["elements"].items()},
        {str(key): int(seen) for key, seen in sheet["lines"].items()},
        {str(key): str(linkid) for key, linkid in sheet["links"].items()},
        {str(key): (str(label), int(seen)) for key, (label, seen) in sheet["labels"].items()},
    )


def write_state(path: str, sheets: dict[str, Seen]) -> None:
    """Replace the state file, which only its user may read.

    Raises:
        SocketsError: it can't be written.
    """
    content = {
        "version": _VERSION,
        "sheets": {name: sheet._asdict() for name, sheet in sheets.items()},
    }
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".map-")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False, sort_keys=True, indent=1)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        hint = "--state FILE names another place"
        raise SocketsError(f"{path}: {error.strerror}", hint) from None
