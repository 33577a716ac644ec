"""What README and docs/ tell people to type is understood by the command."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from zabbix_sockets.command.arguments import parse
from zabbix_sockets.command.verbs import VERBS, option_fields_of

SOURCE = Path(__file__).parents[2]
PAGES = [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]
COMMAND = re.compile(r"^(?:\$ |\S*/bin/)?zabbix-sockets (\S.*?)(?:\s{3,}.*)?$")  # and what it is
SYNOPSIS = re.compile(r"[\[|]|\b[A-Z]{3,}\b|, unload")  # the command's own overview

OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]+")


def documented(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each command in a page's code blocks that could be typed."""
    for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n   ", "").splitlines():
            found = COMMAND.match(line)
            if found and not SYNOPSIS.search(re.sub(r"'[^']*'|#.*", "", found[1])):
                yield shlex.split(found[1], comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands(page: Path) -> None:
    """Every example is one that the command takes."""
    for arguments in documented(page):
        words = arguments[: arguments.index("2>&1")] if "2>&1" in arguments else arguments
        assert words[0] in VERBS
        assert callable(parse(words).run)


def test_there_are_examples() -> None:
    """The pages have examples, and these are found."""
    found = [arguments[0] for page in PAGES for arguments in documented(page)]
    assert {"show", "get", "count", "send", "provision"} <= set(found)


def flags_of(options: type) -> Iterator[str]:
    """Yield the flags of a type of options."""
    for field in option_fields_of(options):
        for option in field.options:
            yield option.flag
            if option.action == "optional":
                yield option.flag.replace("--", "--no-", 1)
        if field.inner:
            yield from flags_of(field.inner)


def test_options() -> None:
    """Every option that a page names is one of a verb's, or of a program that it calls."""
    of_others = {"--no-index", "--find-links", "--now", "--page", "--inet", "--exclude"}
    of_others |= {
        "--allow-unsigned-rpm",
        "--no-install-recommends",
        "--system",
        "--print-architecture",
    }
    of_others |= {"--download-only", "--resolve"}
    of_others |= {"--name", "--pid", "--network", "--group-add", "--volume", "--env"}  # docker run
    known = {"--help", *of_others}
    for verb in VERBS.values():
        known.update(flags_of(verb.define()[0]))
    for page in PAGES:
        assert set(re.findall(OPTION, page.read_text())) <= known, page
