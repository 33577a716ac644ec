"""The committed files: what the generator makes, and fit to be read and imported."""

import re
from pathlib import Path

import pytest

from zabbix_templates.generator.files import generated

from .exports import PATHS, ROOT, Export, leaves

GENERATED = generated()

# Addresses that are nobody's: RFC 5737, loopback, the wildcard; and no names of hosts.
_ADDRESS = re.compile(r"(?<![\d.])\d+\.\d+\.\d+\.\d+(?![\d.])")
_NOBODYS = re.compile(r"192\.0\.2\.\d+|127\.[\d.]+|0\.0\.0\.0")
_HOST_NAME = re.compile(r"\w\.(?:com|org|net|io|dev|local|lan|internal)\b(?!\.)|://", re.IGNORECASE)


@pytest.mark.parametrize("path", GENERATED)
def test_committed_is_generated(path: str) -> None:
    """Each generated file is committed as the generator makes it today."""
    file = ROOT / path
    assert file.exists(), f"{path} is missing: run make templates"
    assert file.read_text("utf-8") == GENERATED[path], f"{path} is old: run make templates"


def test_nothing_else_is_committed() -> None:
    """No file lies in the templates' folders that the generator doesn't make any more."""
    found = {str(path.relative_to(ROOT)) for path in ROOT.glob("zabbix_templates/sockets_*/*")}
    assert found == {path for path in GENERATED if path.startswith("zabbix_templates/")}
    assert len(PATHS) == 6


def faults_of_text(text: str) -> list[str]:
    """Return what makes a file hard to read, to compare or to import."""
    lines = text.split("\n")
    faults = [f"a tab: {line}" for line in lines if "\t" in line]
    faults += [f"a trailing space: {line}" for line in lines if line != line.rstrip()]
    faults += [f"a name or URL: {line}" for line in lines if _HOST_NAME.search(line)]
    addresses = [each for line in lines for each in _ADDRESS.findall(line)]
    faults += [f"an address: {each}" for each in addresses if not _NOBODYS.fullmatch(each)]
    faults += [f"{len(line)} characters in a line: {line}" for line in lines if len(line) > 2000]
    if not text.endswith("\n") or text.endswith("\n\n"):
        faults.append("no single end of line at the end")
    if not text.isascii():
        faults.append("not ASCII")
    if len(text) >= 1_000_000:
        faults.append(f"{len(text)} bytes")
    return faults


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_text(path: Path) -> None:
    """The YAML is plain text below a megabyte, and names nobody's hosts."""
    assert not faults_of_text(path.read_bytes().decode("utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        *("\tx\n", "x \n", "x\r\n", "x", "x\n\n", "é\n", "x" * 2001 + "\n", "x\n" * 500_000),
        *("10.1.2.3\n", "see https://x\n", "zabbix.example.com\n", "db.internal:5432\n"),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_bad_text_is_found(text: str) -> None:
    """The check of texts finds each of its faults."""
    assert faults_of_text(text)


def test_every_value_is_text(export: Export) -> None:
    """No parser of YAML takes a value for a number, a time or a yes."""
    assert not [place for place, value in leaves(export.content) if not isinstance(value, str)]
