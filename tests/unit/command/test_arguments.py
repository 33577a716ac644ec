"""What may stand on the command line."""

import pytest

from zabbix_sockets.command.agent_call import FOR_AGENT
from zabbix_sockets.command.arguments import parse
from zabbix_sockets.command.verbs import VERBS
from zabbix_sockets.model.errors import UsageError


def test_defaults() -> None:
    """Without options the best source is asked, within 2.5 seconds, for 500,000 bytes."""
    options = parse(["get"]).options
    collecting = options.collecting
    assert (collecting.source, collecting.timeout) == (None, 2.5)
    assert (options.grouping, options.bounds.max_bytes) == ("", 500_000)
    assert (collecting.netns, collecting.group_by, collecting.config) == (None, "process", None)
    options = parse(["show", "sockets"]).options
    assert (options.json, options.state) == (False, ())
    assert options.collecting.netns is None


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_runs_its_own_function(verb: str) -> None:
    """A verb's name is its function's."""
    arguments = {
        "discover": ["processes"],
        "count": ["nginx"],
        "show": ["sockets"],
        "provision": ["https://zabbix.example.com"],
        "provision map": ["Shop"],
    }
    request = parse([*verb.split(), *arguments.get(verb, [])])
    assert (type(request.options), request.run) == VERBS[verb].define()
    assert request.run.__name__ == verb.replace(" ", "_")


def test_agent_verbs() -> None:
    """Agents take the stdout of get, discover and count; people all else."""
    assert set(VERBS) - set(FOR_AGENT) == {
        *("show", "send", "setup", "load", "unload", "names", "files", "check", "provision"),
        "provision map",
    }


@pytest.mark.parametrize("behind", [False, True])
def test_options_before_or_behind(behind: bool) -> None:
    """Options may come before or behind the arguments."""
    given = ["nginx", "tcp", "listen"]
    wanted = ["--timeout", "3", "--source", "procfs"]
    options = parse(["count", *(given + wanted if behind else wanted + given)]).options
    assert (options.process, options.protocol, options.state) == ("nginx", "tcp", "listen")
    assert (options.collecting.timeout, options.collecting.source) == (3, "procfs")


@pytest.mark.parametrize(
    "verb", [["get"], ["discover", "processes"], ["count", "a"], ["show", "sockets"]]
)
@pytest.mark.parametrize("grouping", ["process", "unit", "container", "user"])
def test_options_of_a_snapshot(verb: list[str], grouping: str) -> None:
    """Each verb that takes a snapshot may be told the namespaces, the groups and the rules."""
    request = parse([*verb, "--netns", "web", "--group-by", grouping, "--config", "/x.toml"])
    options = request.options.collecting
    assert (options.netns, options.group_by, options.config) == ("web", grouping, "/x.toml")


def test_repeated_state() -> None:
    """States add up."""
    assert parse(["show", "sockets", "--state", "a", "--state", "b"]).options.state == ("a", "b")


@pytest.mark.parametrize("text", ["0.001", "2.5", "3600", "1e1"])
def test_seconds(text: str) -> None:
    """A timeout is any number of seconds up to an hour."""
    assert parse(["get", "--timeout", text]).options.collecting.timeout == float(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "3601", "", "2s", "1,5", "\udcff"])
def test_no_seconds(text: str) -> None:
    """What is no such number is wrong usage."""
    with pytest.raises(UsageError, match="not a number of seconds"):
        parse(["get", f"--timeout={text}"])


def test_no_server() -> None:
    """An empty name of a server, as of a variable that isn't set, is wrong usage."""
    assert parse(["send", "--server", "a", "--server", "b:1"]).options.pushing.to.server == (
        "a",
        "b:1",
    )
    with pytest.raises(UsageError, match="--server: no name"):
        parse(["send", "--server", ""])


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1e5", "", "٣", "0x10", "\udcff", "²"])
def test_no_bytes(text: str) -> None:
    """A length is a whole number above 0, in plain digits."""
    with pytest.raises(UsageError, match="not a whole number above 0"):
        parse(["get", f"--max-bytes={text}"])


@pytest.mark.parametrize("text", ["9" * 19, "0" * 30 + "1", "123456789012345678901234", "9" * 5000])
def test_very_many_bytes(text: str) -> None:
    """A number of very many digits is refused: no part of it is another number."""
    assert parse(["get", "--max-bytes", "9" * 18]).options.bounds.max_bytes == 10**18 - 1
    for verb in (["get", "--max-bytes"], ["show", "sockets", "--interval", "1", "--count"]):
        with pytest.raises(UsageError, match="more than 18 digits"):
            parse([*verb, text])


@pytest.mark.parametrize("option", ["--interval", "--port", "--send-timeout", "--spool-size"])
def test_zeros_in_front(option: str) -> None:
    """They hide no number beyond the bounds of send's options."""
    with pytest.raises(UsageError, match=f"argument {option}: not a"):
        parse(["send", option, f"{1:012}9999999"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["--bogus"],
        ["get", "a", "b", "c"],
        ["get", "--bogus"],
        ["get", "--time", "3"],
        ["get", "--source", "bogus"],
        ["get", "--group-by", "pod"],
        ["get", "--group-by"],
        ["get", "--netns"],
        ["get", "--netns", ""],
        ["get", "--pins", ""],
        ["load", "--pins", ""],
        ["load", "--netns", "web"],
        ["files", "--config", "x"],
        ["discover"],
        ["discover", "sockets"],
        ["count"],
        ["count", "a", "tcp", "listen", "more"],
        ["count", "a", "--max-bytes", "5"],
        ["show"],
        ["show", "bogus"],
        ["show", "processes", "--keys", "--json"],
        ["files", "more"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    """What is missing, unknown, too much or abbreviated is wrong usage, with a hint for help."""
    with pytest.raises(UsageError) as caught:
        parse(arguments)
    assert caught.value.hint.startswith("try: zabbix-sockets")
    assert caught.value.hint.endswith(" --help")


@pytest.mark.parametrize("verb", VERBS)
def test_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb explains itself, and the overview names it."""
    with pytest.raises(SystemExit) as caught:
        parse([*verb.split(), "--help"])
    assert caught.value.code == 0
    assert f"usage: zabbix-sockets {verb}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        parse(["--help"])
    assert f"{verb:15}{VERBS[verb].summary}" in capsys.readouterr().out


def test_no_arguments() -> None:
    """The bare command shows its usage, and is still wrong usage."""
    with pytest.raises(UsageError, match=r"^no verb$") as caught:
        parse([])
    assert caught.value.hint.startswith("usage: zabbix-sockets")
    assert all(f"{verb:15}" in caught.value.hint for verb in VERBS)


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("shwo", "no verb 'shwo': did you mean show?"),
        ("discovery", "no verb 'discovery': did you mean discover?"),
        ("loaded", "no verb 'loaded': did you mean load or unload?"),
        ("xyzzy", "no verb 'xyzzy': it is one of get, discover, count, send, show, setup, load"),
        ("a\n", "no verb 'a\\n'"),
    ],
)
def test_slips(verb: str, said: str) -> None:
    """A verb that there isn't is followed by the ones that are like it."""
    with pytest.raises(UsageError) as caught:
        parse([verb])
    assert str(caught.value).startswith(said)
