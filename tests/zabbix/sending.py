"""Values through the real zabbix_sender, to a server or a proxy."""

import re
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

from .agents import Kind

Row = tuple[str, str, object] | tuple[str, str, object, float]
"""Host, key, value; and the time of the value, or else it is now."""


class Sent(NamedTuple):
    """What the receiver has said of the values."""

    processed: int
    failed: int


def send(version: str, port: int, rows: Sequence[Row]) -> Sent:
    """Send *rows* to *port* with their times, and check that each was read and sent."""
    now = time.time()
    sender = str(Kind("zabbix_sender", version).path("zabbix_sender"))
    result = subprocess.run(
        [sender, "-v", "-z", "127.0.0.1", "-p", str(port), "-T", "-N", "-i", "-"],
        input="".join(_line(*row) if len(row) == 4 else _line(*row, now) for row in rows),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    # It ends at the first line that it can't read, and still says success.
    sent = re.search(r"^sent: (\d+); skipped: 0; total: \1$", result.stdout, re.MULTILINE)
    assert sent, f"{result.stdout}{result.stderr}"
    assert int(sent[1]) == len(rows), result.stdout
    answers = re.findall(r'"processed: (\d+); failed: (\d+); ', result.stdout)
    return Sent(*(sum(map(int, numbers)) for numbers in zip(*answers, strict=True)))


def _line(host: str, key: str, value: object, clock: float) -> str:
    seconds, fraction = divmod(clock, 1)
    when = f"{seconds:.0f} {fraction * 1e9:.0f}"
    return f"{_quoted(host)} {_quoted(key)} {when} {_quoted(str(value))}\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
