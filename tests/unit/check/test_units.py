"""What systemd and its journal say of units."""

from __future__ import annotations

from pathlib import Path

import pytest

from zabbix_sockets.check.line import Line, ok
from zabbix_sockets.check.units import LOAD_UNIT, MOUNT_UNIT, check_load_unit, last_words

from .trees import Tree

UNIT = "zabbix-agent.service"
BANNER = """Started zabbix-agent.service - Zabbix agent.
Starting Zabbix Agent [web1]. Zabbix 6.0.14 (revision 07b3c2d).
Press Ctrl+C to exit."""
BANNER_2 = """Starting Zabbix Agent 2 (6.0.14)
Zabbix Agent2 hostname: [web1]
Press Ctrl+C to exit."""
ENDED = f"""{UNIT}: Main process exited, code=exited, status=1/FAILURE
{UNIT}: Failed with result 'exit-code'."""
NO_GROUP = "Failed at step GROUP spawning /usr/sbin/zabbix_agentd: No such process"


@pytest.mark.parametrize(
    ("journal", "words"),
    [
        (BANNER, ""),
        (BANNER_2, ""),
        (f"{BANNER}\n{ENDED}", ""),
        (f"{UNIT}: {NO_GROUP}\n{ENDED}", NO_GROUP),
        (f"zabbix_agentd [7]: ERROR: key exists\n{BANNER}\n{ENDED}",
         "zabbix_agentd [7]: ERROR: key exists"),
        ("cannot open the log\nthe end", "cannot open the log"),
        ("one\nthe end", "the end"),
        ("zabbix-sockets: no group zabbix\ninstall the agent: it failed",
         "zabbix-sockets: no group zabbix"),
    ],
)  # fmt: skip
def test_last_words(journal: str, words: str, tmp_path: Path) -> None:
    """They are an error, of the program or of systemd that could not start it, and no banner."""
    tree = Tree(tmp_path)
    tree.boot_systemd(UNIT, journal=journal)
    assert last_words(tree(), UNIT) == words


def _load_line(tree: Tree) -> Line:
    (line,) = check_load_unit(tree(), ())
    return line


def test_skipped(tmp_path: Path) -> None:
    """A unit whose conditions systemd has looked at, and found to fail, is skipped."""
    tree = Tree(tmp_path)
    tree.boot_systemd(
        LOAD_UNIT,
        ActiveState="inactive",
        ConditionResult="no",
        ConditionTimestampMonotonic="7000000",
    )
    said = f"{MOUNT_UNIT} is skipped: no CAP_BPF here, as in a container"
    assert _load_line(tree) == ok("load unit", said)
