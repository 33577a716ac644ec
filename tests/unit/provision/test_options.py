"""What may be asked for."""

import pytest

from zabbix_sockets.command.arguments import parse
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.provision.options import (
    DEFAULT_GROUP,
    DesiredState,
    LoginOptions,
    desired_state,
)
from zabbix_sockets.provision.plan import group_of
from zabbix_sockets.provision.templates import TEMPLATES

AGENT, ACTIVE, TRAPPER = (TEMPLATES[kind] for kind in ("agent", "active", "trapper"))
URL = "https://zabbix.example.com"


def desired(*arguments: str) -> DesiredState:
    """Return what these arguments ask for."""
    return desired_state(parse(["provision", URL, *arguments]).options)


def test_defaults() -> None:
    """All templates are imported; a host gets the one for agents."""
    assert desired() == DesiredState((AGENT, ACTIVE, TRAPPER), AGENT)
    assert desired("--host", "web1") == DesiredState((AGENT, ACTIVE, TRAPPER), AGENT, ("web1",))
    assert group_of(desired("--host", "web1")) == DEFAULT_GROUP


def test_templates() -> None:
    """Those that are named are imported, each once; the only one is the hosts'."""
    assert desired("--template", "trapper", "--template", "agent").templates == (TRAPPER, AGENT)
    assert desired("--template", "active", "--template", "active").templates == (ACTIVE,)
    asked = desired("--host", "web1", "--template", "active")
    assert (asked.templates, asked.linked) == ((ACTIVE,), ACTIVE)


def test_all_of_a_host() -> None:
    """Each option has its place; a host that is named twice is one."""
    asked = desired(
        *("--host", "web1", "--host", "db 1", "--host", "web1", "--group", "Web", "--proxy", "p1"),
        *("--macro", "{$A}=1", "--macro", '{$A:"x"}=2', "--interface", "web1:10051"),
        "--delete-missing",
    )
    assert asked.hosts == ("web1", "db 1")
    assert (asked.group, asked.proxy, str(asked.interface)) == ("Web", "p1", "web1:10051")
    assert asked.macros == (("{$A}", "1"), ('{$A:"x"}', "2"))
    assert asked.delete_missing


def test_options_of_the_call() -> None:
    """How to log in, how long to wait and what to trust are no part of what is desired."""
    options = parse(["provision", f"{URL}/api_jsonrpc.php", "--dry-run", "--timeout", "5"]).options
    assert (options.url.url, options.dry_run, options.timeout) == (URL, True, 5)
    assert options.login == LoginOptions()
    assert parse(["provision", URL]).options.timeout == 60


@pytest.mark.parametrize(
    "arguments",
    [
        ["--group", "Web"],
        ["--proxy", "p1"],
        ["--interface", "web1"],
        ["--macro", "A=1"],
        ["--host", "web1", "--template", "agent", "--template", "active"],
        ["--host", "web1", "--macro", "A=1", "--macro", "{$A}=1"],
        ["--host", "web1", "--macro", "{$A:x}=1", "--macro", '{$A:"x"}=2'],
    ],
)
def test_contradictions(arguments: list[str]) -> None:
    """What makes no sense together is wrong usage."""
    with pytest.raises(UsageError):
        desired(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["more"],
        ["--template", "all"],
        ["--host", ""],
        ["--host", "web/1"],
        ["--host", " web1"],
        ["--host", "wéb"],
        ["--host", "x" * 129],
        ["--host", "web1", "--group", ""],
        ["--host", "web1", "--group", "a\nb"],
        ["--host", "web1", "--group", "x" * 256],
        ["--host", "web1", "--proxy", " "],
        ["--host", "web1", "--macro", "x=1"],
        ["--host", "web1", "--interface", "a:b"],
        ["--user", ""],
        ["--password", "s3cret"],
        ["--token", "s3cret"],
        ["--token-file", ""],
        ["--ca-file", "\0"],
        ["--insecure"],
        ["--timeout", "0"],
        ["--dry"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    """What no server would take is wrong usage; so is a secret on the command line."""
    with pytest.raises(UsageError) as caught:
        desired(*arguments)
    assert caught.value.hint == "try: zabbix-sockets provision --help"


def test_no_address() -> None:
    """A server there must be."""
    for arguments in ([], ["zabbix.example.com"]):
        with pytest.raises(UsageError, match="URL"):
            parse(["provision", *arguments])
