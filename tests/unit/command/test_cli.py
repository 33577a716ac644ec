"""The command as its callers see it: exit codes, stdout, stderr."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import zoo
from children import Child
from turns import one_at_a_time

from zabbix_sockets import __version__
from zabbix_sockets.command.cli import error_json
from zabbix_sockets.command.lock import lock_folders
from zabbix_sockets.command.verbs import VERBS
from zabbix_sockets.model.deadline import Deadline

from ..commands import (  # noqa: TID252  # a test folder is no package
    COMMAND,
    PATIENT,
    Answer,
    run,
    run_in_terminal,
)

HOSTILE = [b"\xff\xfe", b'a"b\\', b"a\nb\x1b[31m", "ключ\u2028".encode(), b"--\xff", b"x" * 3000]
ESCAPE = "\x1b"


def error_of(answer: Answer) -> str:
    """Return the message of an agent's failure, which is one line of JSON and nothing else."""
    assert answer.stderr == b""
    assert answer.stdout.count(b"\n") == 1
    assert answer.stdout.endswith(b"\n")
    parsed = json.loads(answer.stdout.decode("utf-8"))
    assert list(parsed) == ["error"]
    message = parsed["error"]
    assert isinstance(message, str)
    assert message.isprintable()
    return message


def test_document() -> None:
    """`get` prints one line, the document, and is silent otherwise."""
    answer = run("get", *PATIENT)
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert answer.stdout.count(b"\n") == 1
    assert json.loads(answer.stdout)["version"] == __version__


def test_a_process_that_listens() -> None:
    """Each verb tells of a process that listens here."""
    with Child(zoo.listener, b"unit \xc3\xa9"):
        assert run("count", "unit é", "tcp", "listen", *PATIENT).stdout == b"1\n"
        rows = json.loads(run("discover", "processes", *PATIENT).stdout)
        (row,) = (row for row in rows if row["{#ID}"] == "unit é")
        assert row.keys() == {"{#ID}", "{#PROCESS}", "{#SETTLED}", "{#NETNS}", "{#ADMITTED}"}
        assert (row["{#PROCESS}"], row["{#SETTLED}"], row["{#NETNS}"]) == ("unit é", 1, "")
        sockets = json.loads(run("show", "sockets", "--json", *PATIENT).stdout)
        owners = [owner["name"] for row in sockets for owner in row["owners"]]
        assert owners.count("unit é") == 1
        assert "unit é".encode() in run("show", "processes", *PATIENT).stdout


def test_output_is_utf8_whatever_the_locale() -> None:
    """A name that the locale's encoding has not is printed all the same."""
    command = [COMMAND[0], "-I", "-X", "utf8=0", *COMMAND[2:]]
    with Child(zoo.listener, b"unit \xc3\xa9"):
        for verb in (["get"], ["show", "processes"]):
            answer = subprocess.run(
                [*command, *verb, *PATIENT],
                capture_output=True,
                env={"LC_ALL": "C"},
                check=False,
            )
            assert answer.returncode == 0
            assert "unit é" in answer.stdout.decode("utf-8")


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    "arguments",
    [
        ["get", b"%s"],
        ["get", "--source=%s"],
        ["get", "--timeout=%s"],
        ["get", "--max-bytes=%s"],
        ["discover", "%s"],
        ["count", "a", "%s"],
        ["count", "a", "tcp", "%s"],
        ["get", "process", "own", "%s"],
    ],
    ids=str,
)
def test_agent_gets_every_failure_as_json(arguments: list[str | bytes], hostile: bytes) -> None:
    """Whatever bytes an item key brings, the answer is one line of JSON with a message."""
    given = [os.fsencode(each).replace(b"%s", hostile) for each in arguments]
    answer = run(*given)
    assert answer.returncode == 2
    assert error_of(answer)


def test_agent_gets_the_reason_of_a_failure() -> None:
    """What can't be done has exit code 1, and says why."""
    answer = run("get", "--max-bytes", "10", *PATIENT)
    assert answer.returncode == 1
    assert error_of(answer) == "no document fits into 10 bytes"


@pytest.mark.parametrize("message", ['"', "\\", "a\nb", "\udcff", "\0", "\u2028", "{}", "naïve"])
def test_error_json(message: str) -> None:
    """Any message makes valid JSON of one line."""
    text = error_json(message)
    assert text.encode("utf-8").count(b"\n") == 0
    assert json.loads(text).keys() == {"error"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["bogus\x1b[31m"],
        ["show", "bogus"],
        ["show", "processes", "--state", "listen"],
        ["show", "sockets", "--state", "bogus"],
        ["show", "sockets", "--source", b"\xff"],
        ["files", "more"],
    ],
    ids=str,
)
def test_people_read_errors_on_stderr(arguments: list[str | bytes]) -> None:
    """Stdout stays empty; stderr says what is wrong, safe for a terminal."""
    answer = run(*arguments)
    assert (answer.returncode, answer.stdout) == (2, b"")
    message = answer.stderr.decode("utf-8")
    assert message.startswith("zabbix-sockets: ")
    assert "Traceback" not in message
    assert message.replace("\n", "").isprintable()


@pytest.mark.parametrize("arguments", [["--help"], ["get", "--help"], ["show", "-h"]])
def test_help(arguments: list[str]) -> None:
    """Help is an answer."""
    answer = run(*arguments)
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert answer.stdout.startswith(b"usage: zabbix-sockets")


def test_version() -> None:
    """The version is the package's."""
    assert run("--version").stdout.decode() == f"zabbix-sockets {__version__}\n"


WRITERS = [
    ["get", *PATIENT],
    ["get", "bogus"],
    ["discover", "listeners", *PATIENT],
    ["show", "processes", *PATIENT],
    ["files"],
    ["--version"],
    ["--help"],
]


def complaints(answer: Answer) -> list[str]:
    """Return what no caller should ever read."""
    return re.findall(r"Traceback|Exception ignored|File \"", answer.stderr.decode())


@pytest.mark.parametrize("arguments", WRITERS, ids=str)
def test_full_disk(arguments: list[str]) -> None:
    """An answer that can't be written is a failure, without a traceback."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        answer = run(*arguments, stdout=full)
    finally:
        os.close(full)
    assert not complaints(answer)
    assert answer.returncode in ((1, 2) if "bogus" in arguments else (1,))


@pytest.mark.parametrize("arguments", WRITERS, ids=str)
def test_reader_has_gone(arguments: list[str]) -> None:
    """Nobody reads the answer any more: a failure without a word, as of any filter."""
    read, write = os.pipe()
    os.close(read)
    try:
        answer = run(*arguments, stdout=write)
    finally:
        os.close(write)
    assert not complaints(answer)
    assert answer.returncode in ((1, 2) if "bogus" in arguments else (1,))


@pytest.mark.parametrize("arguments", [*WRITERS[:5], ["show", "bogus"]], ids=str)
def test_closed_stdout(arguments: list[str]) -> None:
    """Without a stdout there is no answer, and no traceback."""
    answer = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, *arguments],
        stderr=subprocess.PIPE,
        check=False,
    )
    assert not complaints(answer)
    assert answer.returncode in ((1, 2) if "bogus" in arguments else (1,))


@pytest.mark.parametrize(
    ("arguments", "redirection"),
    [
        (["--bogus"], ""),
        (["--host", "web1"], ""),
        (["--timeout", "0.5"], ">/dev/full"),
        (["--timeout", "0.5"], ">&-"),
    ],
    ids=str,
)
def test_check_that_fails(arguments: list[str], redirection: str) -> None:
    """Its exit status is none of those that say what it has found."""
    answer = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, "check", *arguments],
        capture_output=True,
        check=False,
    )
    assert not complaints(answer)
    assert (answer.returncode, answer.stdout) == (3, b"")


@pytest.mark.parametrize("verb", ["check", "setup"])
def test_help_has_the_exit_status(verb: str) -> None:
    """Of the verbs that have others than the rest, or mean something else by them."""
    words = " ".join(run(verb, "--help").stdout.decode().split())
    assert f"exit status: {VERBS[verb].statuses}." in words


def waits_for_lock(pid: int) -> bool:
    """Whether a call has come so far as to ask for the lock."""
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(fd.readlink()))
        except OSError:
            continue  # closed meanwhile
    return f"{next(lock_folders())}/zabbix-sockets.lock" in links


@pytest.mark.parametrize("verb", ["get", "show"])
def test_interrupt(verb: str) -> None:
    """Ctrl-C ends a call at once, without a traceback."""
    command = [*COMMAND, verb, *(["sockets"] if verb == "show" else []), *PATIENT]
    with (
        one_at_a_time(Deadline(60)),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
    ):
        zoo.wait_for(lambda: waits_for_lock(process.pid), "the call to wait", 60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, err) == (b"", b"")


def test_busy() -> None:
    """A call that finds another one running gives up at its timeout."""
    with one_at_a_time(Deadline(60)):
        answer = run("get", "--timeout", "2")
    assert answer.returncode == 1
    assert error_of(answer) == "another snapshot of this user did not end within 2 s"


NARROW = 56
"""Cells of a narrow terminal."""


def test_terminal() -> None:
    """In a terminal tables are coloured and as narrow as it is; piped ones are plain and whole."""
    name = "unit-terminal"
    with Child(zoo.listener, name.encode()) as child:
        owner = f"{name}:{child.pid}"
        wide = run_in_terminal("show", "sockets", *PATIENT, columns=200)
        narrow = run_in_terminal("show", "sockets", *PATIENT, columns=NARROW)
        piped = run("show", "sockets", *PATIENT).stdout.decode()
        plain = run_in_terminal(
            *("show", "sockets", *PATIENT), columns=200, environment={"NO_COLOR": "1"}
        )
    assert ESCAPE in wide
    assert ESCAPE not in piped + plain
    assert owner in wide
    assert owner in piped
    assert owner in plain
    shown = re.sub(ESCAPE + r"\[[0-9;]*m", "", narrow).splitlines()
    assert max(map(len, shown)) <= NARROW
    assert any(line.endswith("…") for line in shown)


@pytest.mark.parametrize("arguments", [["get"], ["count", "x"], ["show", "processes"]], ids=str)
def test_closed_stderr(arguments: list[str]) -> None:
    """Without a stderr there is still an answer."""
    answer = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND, *arguments, *PATIENT],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert answer.returncode == 0
    assert answer.stdout


def test_stdout_that_can_only_be_read(tmp_path: Path) -> None:
    """What can't be written is a failure, without a traceback."""
    (tmp_path / "file").touch()
    with open(tmp_path / "file", "rb") as file:
        answer = run("get", *PATIENT, stdout=file.fileno())
    assert (answer.returncode, answer.stderr) == (1, b"")


@pytest.mark.parametrize("memory", [24, 32, 48])
@pytest.mark.parametrize("verb", [["get"], ["show", "sockets"]], ids=str)
def test_no_memory_left(verb: list[str], memory: int) -> None:
    """With little memory there is an answer or one line that says why not."""
    megabytes = memory << 20

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes, megabytes))

    answer = subprocess.run(
        [*COMMAND, *verb, *PATIENT],
        capture_output=True,
        preexec_fn=limit,  # the tests have no threads
        check=False,
    )
    if b"Fatal Python error" in answer.stderr or b"cannot allocate" in answer.stderr.lower():
        pytest.skip("too little for Python itself")
    assert not complaints(answer)
    if answer.returncode:
        assert error_of(answer) if verb == ["get"] else answer.stderr.count(b"\n") == 1


HANG = (
    "import sys, time; from zabbix_sockets.command import cli, lock; lock._SHARED_FOLDERS = ();"
    "from zabbix_sockets.grouping import grouping;"
    "grouping.Groups.__init__ = lambda *_: time.sleep(60);"
    "cli.main(sys.argv[1:])"
)


@pytest.mark.parametrize("verb", [["get"], ["count", "x"], ["show", "processes"]], ids=str)
@pytest.mark.parametrize("timeout", [["--timeout", "0.05"], ["--timeout=0.05"]], ids=str)
def test_call_that_hangs(verb: list[str], timeout: list[str]) -> None:
    """A moment past the timeout a call ends, wherever it hangs."""
    command = [sys.executable, "-I", "-c", HANG, *verb, *timeout]
    answer = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert answer.returncode == 1
    message = "timed out after 0.25 s: something hung"
    if verb[0] == "show":
        assert (answer.stdout, answer.stderr) == (b"", f"zabbix-sockets: {message}\n".encode())
    else:
        assert error_of(answer) == message


@pytest.mark.parametrize("verb", ["get", "count"])
def test_caller_that_ignores_its_children(verb: str) -> None:
    """A process that inherits an ignored SIGCHLD has an answer all the same."""
    arguments = [verb, *PATIENT, *(["x"] if verb == "count" else [])]
    answer = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),  # tests have no threads
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert json.loads(answer.stdout) is not None


@pytest.mark.parametrize("descriptors", [5, 6, 7, 8])
def test_no_descriptor_left(descriptors: int) -> None:
    """With few descriptors there is an answer, or what is said is that these lack."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    answer = subprocess.run(
        [*COMMAND, "get", *PATIENT],
        capture_output=True,
        preexec_fn=limit,  # the tests have no threads
        check=False,
    )
    if b"Fatal Python error" in answer.stderr or b"shared libraries" in answer.stderr:
        pytest.skip("too few for Python itself")
    assert not complaints(answer)
    if answer.returncode:
        assert "Too many open files" in error_of(answer)


def test_timeout_that_is_no_number() -> None:
    """It is refused as all wrong ones are."""
    answer = run("get", "--timeout", "nan")
    assert answer.returncode == 2
    assert "not a number of seconds" in error_of(answer)


def test_library_that_ends_the_process() -> None:
    """That is no answer: one line says so."""
    code = (
        "import sys; from zabbix_sockets.command import cli;"
        "from zabbix_sockets.grouping import grouping;"
        "grouping.Groups.__init__ = lambda *_: sys.exit(0); cli.main(sys.argv[1:])"
    )
    command = [sys.executable, "-I", "-c", code, "get", *PATIENT]
    answer = subprocess.run(command, capture_output=True, check=False)
    assert answer.returncode == 1
    assert error_of(answer).startswith("SystemExit: ")


def test_fault_of_our_own() -> None:
    """What nobody foresaw is one line; --debug shows where it comes from."""
    code = (
        "import sys; from zabbix_sockets.command import cli;"
        "from zabbix_sockets.grouping import grouping;"
        "grouping.GROUPINGS['process'] = None; cli.main(sys.argv[1:])"
    )
    command = [sys.executable, "-I", "-c", code]
    answer = subprocess.run([*command, "get", *PATIENT], capture_output=True, check=False)
    assert answer.returncode == 1
    assert error_of(answer).startswith("AttributeError: ")
    answer = subprocess.run([*command, "get", "--debug"], capture_output=True, check=False)
    assert json.loads(answer.stdout)["error"].startswith("AttributeError: ")
    assert b"Traceback" in answer.stderr
