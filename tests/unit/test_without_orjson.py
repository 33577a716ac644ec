"""All verbs where there is no orjson for this Python: musl, another Python, a package by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import zabbix_sockets

START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    "from zabbix_sockets.command.cli import main; main()"
)
ALONE = ("--netns", "own", "--timeout", "60")
SENDER = """#!/bin/sh
cat >"$0.new"
test -s "$0.new" || exit 0
number=$(wc -l <"$0.new")
cat "$0.new" >>"$0.sent"
told="processed: $number; failed: 0; total: $number; seconds spent: 0.000055"
echo "Response from \\"127.0.0.1:10051\\": \\"$told\\""
"""
OUTAGE = "#!/bin/sh\nexit 1\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the package, and nothing beside it but programs."""
    (tmp_path / "zabbix_sockets").symlink_to(Path(zabbix_sockets.__file__).parent)
    return tmp_path


def run(home: Path, *arguments: str, status: int = 0) -> str:
    """Run the command to its end, and return what it prints."""
    command = [sys.executable, "-I", "-S", "-c", START, str(home), *arguments]
    answer = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={"PATH": f"{home}:/usr/bin:/bin"},
        timeout=120,
        check=False,
    )
    assert answer.returncode == status, answer.stderr
    return answer.stdout


def test_there_is_none(home: Path) -> None:
    """The test's way to run the command has no orjson."""
    looking = "import sys; sys.path.insert(0, sys.argv[1]); import zabbix_sockets, orjson"
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", looking, str(home)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No module named 'orjson'" in answer.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", *ALONE),
        ("get", "--group-by", "container", *ALONE),
        ("discover", "listeners", *ALONE),
        ("show", "processes", "--json", *ALONE),
        ("show", "sockets", "--json", *ALONE),
    ],
    ids=" ".join,
)
def test_answers(home: Path, arguments: tuple[str, ...]) -> None:
    """What answers in JSON does."""
    for line in run(home, *arguments).splitlines():
        assert json.loads(line) is not None


@pytest.mark.parametrize(
    "arguments",
    [("count", "nobody-is-called-so", *ALONE), ("show", "processes", *ALONE), ("files",)],
    ids=" ".join,
)
def test_others(home: Path, arguments: tuple[str, ...]) -> None:
    """What answers in another form does."""
    assert run(home, *arguments)


@pytest.mark.parametrize("verb", ["load", "unload", "provision", "send"])
def test_help(home: Path, verb: str) -> None:
    """What needs a privilege or a server is there."""
    assert run(home, verb, "--help").startswith(f"usage: zabbix-sockets {verb}")


@pytest.mark.parametrize("values", [(), ("--values",)], ids=["document", "values"])
def test_send(home: Path, values: tuple[str, ...]) -> None:
    """What could not be sent waits on disk, and is delivered later, before the next."""
    sender = home / "zabbix_sender"
    arguments = (
        *("send", "--server", "127.0.0.1", "--host", "h", *values, *ALONE),
        *("--spool", str(home / "spool"), "--source", "procfs"),
    )
    sender.write_text(OUTAGE)
    sender.chmod(0o755)
    run(home, *arguments, status=1)
    sender.write_text(SENDER)
    run(home, *arguments)
    sent = (home / "zabbix_sender.sent").read_text().splitlines()
    keys = [line.split()[1] for line in sent]
    assert keys.count(keys[0]) == 2
