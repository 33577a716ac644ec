"""The man page and the completions: made of the same description as --help."""

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import manual
import pytest

from zabbix_sockets.command.verbs import VERBS
from zabbix_sockets.document.count import check_arguments
from zabbix_sockets.terminal.sockets import ALL_STATES

BASH = manual.GENERATED / "zabbix-sockets.bash"
PAGE = manual.GENERATED / "zabbix-sockets.8"


@pytest.mark.parametrize(("name", "make"), manual.FILES.items())
def test_up_to_date(name: str, make: Callable[[], str]) -> None:
    """`make manual` changes nothing."""
    assert (manual.GENERATED / name).read_text("utf-8") == make()


@pytest.mark.parametrize("verb", VERBS)
def test_all_options(verb: str) -> None:
    """The page and each completion have every option of every verb."""
    _, _, part = PAGE.read_text("utf-8").partition(f".SS {verb}\n")
    part = part.partition(".SS")[0]
    for each in manual.described(verb):
        for flag in each.flags:
            assert f"\\fB{flag.replace('-', chr(92) + '-')}\\fR" in part


def test_shared_options_are_explained_once() -> None:
    """What several verbs have in the same words stands in the page once."""
    page = PAGE.read_text("utf-8")
    for words in ("answer within this time, incomplete", "where an error comes from"):
        assert page.count(words) == 1
    assert page.count("wait this long for each of the server") == 2  # provision and its map


def completed(*words: str) -> list[str]:
    """Return what bash offers for the last of the words after the command."""
    asking = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _zabbix_sockets; '
    answer = subprocess.run(
        ["bash", "-c", asking + 'printf "%s\\n" "${COMPREPLY[@]}"', "bash", BASH, "x", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not answer.stderr
    return answer.stdout.split()


def test_bash() -> None:
    """It completes verbs, kinds, options, and the values that an option may have."""
    assert completed("sho") == ["show"]
    assert completed("discover", "l") == ["listeners"]
    assert completed("get", "--group") == ["--group-by"]
    assert completed("get", "--group-by", "u") == ["unit", "user"]
    assert completed("get", "--filter", "") == []
    assert completed("get", "u") == ["unit", "user"]
    assert completed("bogus", "") == []


def test_bash_of_two_words() -> None:
    """The second word of a verb is offered behind the first, and has options of its own."""
    assert completed("prov") == ["provision"]
    assert completed("provision", "m") == ["map"]
    assert completed("provision", "map", "Shop", "--ho") == ["--host", "--hops", "--host-for-sums"]
    assert completed("provision", "map", "--format", "") == ["map", "dot", "json"]
    assert completed("provision", "https://x", "--tem") == ["--template"]


def test_bash_of_states() -> None:
    """States and protocols are words to choose from, though the parser leaves them to the verb."""
    assert completed("show", "sockets", "--state", "") == list(ALL_STATES)
    assert completed("show", "sockets", "--state", "=", "cl") == ["close", "close_wait", "closing"]
    assert completed("show", "sockets", "--state", "=") == list(ALL_STATES)
    assert completed("count", "nginx", "") == ["tcp", "udp", "unix"]
    assert completed("count", "nginx", "tcp", "li") == ["listen"]
    for state in completed("count", "nginx", "tcp", ""):
        check_arguments("nginx", "udp" if state in ("bound", "connected") else "tcp", state)


def test_bash_knows_which_argument_it_is_at() -> None:
    """A word of the place is offered: behind options and their values, and not a second time."""
    assert completed("count", "--netns", "tcp", "nginx", "u") == ["udp", "unix"]
    assert completed("count", "--netns", "=", "own", "nginx", "u") == ["udp", "unix"]
    assert completed("count", "--debug", "nginx", "u") == ["udp", "unix"]
    assert completed("count", "u") == []
    assert completed("discover", "listeners", "") == completed("discover", "listeners", "-")
    assert "--json" in completed("show", "sockets", "")


SHELLS = {
    "bash": (["bash", "--norc", "-i"], 'source "$GENERATED/zabbix-sockets.bash"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'fpath=("$GENERATED" $fpath); autoload -U compinit; compinit -D -u',
    ),
}
"""By name, how an interactive shell is called, and the line that gives it its completion."""
LINES = {
    "zabbix-sockets sho\tli\t": "show listeners",
    "zabbix-sockets show sockets --state close_w\t": "show sockets --state close_wait",
    "zabbix-sockets count nginx ud\tbo\t": "count nginx udp bound",
    "zabbix-sockets count --group-by un\tnginx.service t\tlist\t": (
        "count --group-by unit nginx.service tcp listen"
    ),
    "zabbix-sockets send --tls-connect=p\t --spool spo\t": (
        "send --tls-connect=psk --spool spool.sqlite"
    ),
    "zabbix-sockets load --pins fold\tinn\t": "load --pins folder/inner",
    "zabbix-sockets provision map Shop --format=d\t": "provision map Shop --format=dot",
}
"""Lines with the key Tab, and the arguments that the command then has."""


def typed(shell: str, line: str, folder: Path) -> str:
    """Return the arguments of the command in a *line* that is typed into an interactive shell."""
    command, init = SHELLS[shell]
    environment = {"GENERATED": str(manual.GENERATED), "HOME": str(folder), "TERM": "dumb"}
    terminal, other = os.openpty()
    with subprocess.Popen(
        command,
        stdin=other,
        stdout=other,
        stderr=other,
        cwd=folder,
        env=os.environ | environment,
        start_new_session=True,
    ) as process:
        os.close(other)
        stub = 'zabbix-sockets() { echo "$@" > "$HOME/arguments"; exit; }'
        os.write(terminal, f"PS1='rea''dy> '; {stub}; {init}\n".encode())
        said = b""
        while b"ready> " not in said:  # before that, a Tab is not yet the shell's
            said += os.read(terminal, 1000)
        os.write(terminal, f"{line}\n".encode())
        with suppress(OSError):  # the shell has ended
            while os.read(terminal, 1000):
                pass
        process.wait()
    os.close(terminal)
    return (folder / "arguments").read_text("utf-8").rstrip("/\n")


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("shell", SHELLS)
def test_typed(shell: str, line: str, tmp_path: Path) -> None:
    """A person's key Tab completes what there is one word for."""
    if not shutil.which(shell):
        pytest.skip(f"no {shell}")
    (tmp_path / "spool.sqlite").touch()
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    assert typed(shell, line, tmp_path) == LINES[line]


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff")
def test_man_page_has_no_faults() -> None:
    """Groff warns of nothing."""
    answer = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", PAGE], capture_output=True, text=True, check=True
    )
    assert not answer.stderr
