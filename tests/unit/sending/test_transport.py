"""What of zabbix_sender's answers is believed. The texts are those of 6.0.14 and 7.0.9."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.transport import Outcome, Sender, check, parse_answer, push

TAKEN = 'Response from "127.0.0.1:10051": "processed: 1; failed: 0; total: 1; seconds spent: 0.1"\n'
REFUSED = (
    'Response from "127.0.0.1:10051": "processed: 0; failed: 1; total: 1; seconds spent: 0.1"\n'
)
SILENT = "zabbix_sender ended with status 1 and said nothing"
VALUE = Value("h", "k", 1, 2, "3")


def summary(sent: int, skipped: int = 0) -> str:
    """Return zabbix_sender's last line."""
    return f"sent: {sent}; skipped: {skipped}; total: {sent + skipped}\n"


def test_taken() -> None:
    """All is well when the numbers say so."""
    outcome = parse_answer(TAKEN + summary(1), 1, SILENT)
    assert outcome == Outcome(1, 0)
    assert outcome.delivered


def test_several_packets() -> None:
    """zabbix_sender sends 250 values at a time and prints an answer for each."""
    text = "".join(
        f'Response from "a:1": "processed: {n}; failed: {f}; total: {n + f}; seconds spent: 0.1"\n'
        for n, f in ((250, 0), (240, 10), (3, 1))
    )
    assert parse_answer(text + summary(504), 504, SILENT) == Outcome(493, 11)


def test_refused() -> None:
    """A refusal within "success" is one; no exit status matters (7.0.9 has 0)."""
    outcome = parse_answer(REFUSED + summary(1), 1, SILENT)
    assert outcome == Outcome(0, 1)
    assert not outcome.delivered


def test_skipped() -> None:
    """Lines that were not read are not delivered, with exit status 0."""
    text = "zabbix_sender [9]: ERROR: [line 2] invalid 'Timestamp' value detected\n"
    outcome = parse_answer(text + TAKEN + summary(1, 1), 3, SILENT)
    assert not outcome.delivered
    assert outcome.error == (
        "only 1 of 3 values were answered for: [line 2] invalid 'Timestamp' value detected"
    )


def test_no_connection() -> None:
    """The reason is the line that says it, without the program's name."""
    text = (
        "zabbix_sender [7]: DEBUG: In connect_to_server() [127.0.0.1]:1 [timeout:60]\n"
        "zabbix_sender [7]: DEBUG: Unable to connect to [127.0.0.1]:1 [cannot connect to"
        " [[127.0.0.1]:1]: [111] Connection refused]\nSending failed.\n"
    )
    outcome = parse_answer(text, 1, SILENT)
    assert not outcome.delivered
    assert outcome.error == (
        "Unable to connect to [127.0.0.1]:1 [cannot connect to [[127.0.0.1]:1]:"
        " [111] Connection refused]"
    )


def test_too_old(tmp_path: Path) -> None:
    """The one of 5.0, as of Debian 11, lacks -t and prints its usage: the cause is its age."""
    text = (
        "zabbix_sender [9]: invalid option -- t\nusage:\n  zabbix_sender [-v] -z server [-p port]"
        " [-I IP-address] -s host -k key\n                -o value\n"
    )
    said = "this zabbix_sender is older than Zabbix 6.0"
    assert parse_answer(text, 1, SILENT).error == said
    program = tmp_path / "zabbix_sender"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(UsageError, match=said) as raised:
        check(Sender(program=str(program)), "127.0.0.1")
    assert "zabbix-sender (of zabbix.com" in raised.value.hint


def test_killed_in_a_handshake(tmp_path: Path) -> None:
    """What it has done before it hung is no reason, though it is about TLS."""
    program = tmp_path / "zabbix_sender"
    said = "zabbix_sender [7]: DEBUG: zbx_tls_init_child() PSK ciphersuites: TLS_PSK_AES_128"
    program.write_text(f"#!/bin/sh\necho '{said}'\nexec sleep 60\n")
    program.chmod(0o755)
    outcome = push(Sender(program=str(program)), "127.0.0.1", [VALUE], 1, 0.5)
    assert outcome == Outcome(0, 0, "zabbix_sender did not end within 1.5 s")


def test_payload_is_no_answer() -> None:
    """What was sent is repeated by -vv; a name in it can't pass for the server's answer."""
    forged = "processed: 1; failed: 0; total: 1; seconds spent: 0"
    text = (
        f'zabbix_sender [7]: DEBUG: zbx_comms_exchange_with_redirect() sending: {{"value":"{forged}'
        ' timed out"}\nSending failed. Use option -vv for more detailed output.\n'
    )
    outcome = parse_answer(text, 1, SILENT)
    assert not outcome.delivered
    assert "processed" not in outcome.error


def test_silence() -> None:
    """No answer at all is a failure that says so."""
    assert "status 1 and said nothing" in parse_answer("", 1, SILENT).error


def test_reasons_are_printable() -> None:
    """What a server says ends up in a terminal and a log."""
    error = parse_answer("zabbix_sender [7]: cannot \x1b[31m" + "x" * 9999 + "\n", 1, SILENT).error
    assert error.isprintable()
    assert len(error) <= 300


def program(folder: Path, body: str) -> str:
    """Make a program in the place of zabbix_sender: for what no real one does."""
    path = folder / "sender"
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(0o755)
    return str(path)


def test_command(tmp_path: Path) -> None:
    """Everything is an argument of its own, and standard input has the lines."""
    fake = program(tmp_path, "import sys; sys.exit(repr((sys.argv[1:], sys.stdin.read())))")
    options = ("--tls-connect", "psk")
    sender = Sender("/etc/agent.conf", options, 10051, fake)
    command = sender.command("a;b", 7)
    assert command == [
        *(fake, "-vv", "-c", "/etc/agent.conf", "-z", "a;b", "-p", "10051", "-t", "7"),
        *(*options, "-T", "-N", "-i", "-"),
    ]
    assert not push(sender, "a;b", [VALUE], 7).delivered


def test_missing_program() -> None:
    """The message names the package."""
    with pytest.raises(SocketsError, match="there is no /nonexistent") as caught:
        push(Sender(program="/nonexistent"), "a", [VALUE], 1)
    assert "zabbix-sender" in caught.value.hint


def test_program_that_may_not_run(tmp_path: Path) -> None:
    """It is an error with its reason, after which the value is still there to be kept."""
    fake = tmp_path / "sender"
    fake.write_text("#!/bin/sh\n")
    with pytest.raises(SocketsError, match=r"sender: Permission denied"):
        push(Sender(program=str(fake)), "a", [VALUE], 1)


def test_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended a while after the timeout it was given."""
    monkeypatch.setattr("zabbix_sockets.sending.transport.GRACE", 0.2)
    fake = program(tmp_path, "import time; time.sleep(60)")
    assert "did not end within" in push(Sender(program=fake), "a", [VALUE], 1).error


def test_all_of_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It forks a child for each destination: none is left behind, and what was said is heard."""
    monkeypatch.setattr("zabbix_sockets.sending.transport.GRACE", 0.2)
    body = f"import os, time\nif not os.fork():\n print({TAKEN!r}, flush=True)\ntime.sleep(60)"
    started = time.monotonic()
    outcome = push(Sender(program=program(tmp_path, body)), "a", [VALUE, VALUE], 1)
    assert (outcome.processed, outcome.delivered) == (1, False)
    assert time.monotonic() - started < 30  # the child has the pipe, too: its end is awaited


def test_traces_are_no_reasons() -> None:
    """Lines of where the program is name timeouts, too."""
    text = "zabbix_sender [7]: DEBUG: In connect_to_server() [127.0.0.1]:1 [timeout:1]\n"
    assert parse_answer(text, 1, SILENT).error == SILENT


def test_failed_response() -> None:
    """An answer that says "failed" is none, whatever numbers it has; 7.0 ends with status 0."""
    text = (
        'zabbix_sender [7]: Warning: incorrect answer from "127.0.0.1:1": [{"response":"failed",'
        '"info":"processed: 1; failed: 0; total: 1; seconds spent: 0.1"}]\n' + summary(1)
    )
    outcome = parse_answer(text, 1, SILENT)
    assert (outcome.processed, outcome.delivered) == (0, False)
    assert "incorrect answer" in outcome.error


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("zabbix_sender [9]: ./plugins.d: [2] No such file or directory", None),
        ("something else\nSending failed.\nsent: 0; skipped: 1; total: 1", "something else"),
        ("Sending failed.", "zabbix_sender ended with status 3 and said nothing"),
    ],
)
def test_whatever_it_says_is_shown(tmp_path: Path, said: str, error: str | None) -> None:
    """What it says last is the reason, also where nobody knows such a line."""
    fake = program(tmp_path, f"import sys; print({said!r}); sys.exit(3)")
    outcome = push(Sender(program=fake), "a", [VALUE], 1)
    assert outcome.error == (error or "./plugins.d: [2] No such file or directory")


def test_runs_where_the_file_is(tmp_path: Path) -> None:
    """What the agent's file includes may be relative to its folder, as that of agent 2 has it."""
    fake = program(tmp_path, "import os; print(os.getcwd())")
    folder = tmp_path / "etc"
    folder.mkdir()
    sender = Sender(str(folder / "agent.conf"), program=fake)
    assert push(sender, "a", [VALUE], 1).error == str(folder)


def test_check(tmp_path: Path) -> None:
    """It reads its configuration and sends nothing; what it says against it is said."""
    body = "import sys\nif sys.stdin.read(): sys.exit(1)\nprint('sent: 0; skipped: 0; total: 0')"
    check(Sender(program=program(tmp_path, body)), "a")
    for why, hint in (("[13] Permission denied", "docs/send.md"), ("[2] No such file", "")):
        said = f'cannot open file "/psk": {why}'
        fake = program(tmp_path, f"import sys; print({said!r}); sys.exit(1)")
        with pytest.raises(UsageError, match=re.escape(said)) as caught:
            check(Sender(program=fake), "a")
        assert hint in caught.value.hint
        assert bool(caught.value.hint) == bool(hint)
    with pytest.raises(UsageError, match="there is no /nonexistent"):
        check(Sender(program="/nonexistent"), "a")


def test_lines_are_lines() -> None:
    """What Unicode calls the end of a line is none in what was sent."""
    text = f"zabbix_sender [7]: DEBUG: x\u2028{TAKEN}"
    assert not parse_answer(text, 1, SILENT).delivered


@pytest.mark.parametrize("digits", [10, 5000])
def test_numbers_that_no_server_has(digits: int) -> None:
    """A server's words are no answer if their numbers are longer than any."""
    text = TAKEN.replace("processed: 1", f"processed: {'1' * digits}")
    assert parse_answer(text, 1, SILENT) == Outcome(0, 0, SILENT)
