"""What an installation brings along."""

import importlib.metadata
import os
from pathlib import Path

import pytest

import zabbix_sockets

from .commands import run

SOURCE = Path(__file__).parents[2]
PACKAGE = Path(zabbix_sockets.__file__).parent


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_tests_run_against_the_installed_package() -> None:
    """The package is the one that a user would install, not the source tree."""
    assert not PACKAGE.is_relative_to(SOURCE / "src")


@pytest.mark.parametrize("folder", ["conf", "zabbix_templates"])
def test_shared_files(folder: str) -> None:
    """Every file that an administrator copies is installed, as it is in the source tree.

    What makes the templates stays there.
    """
    wanted = {
        path: content
        for path, content in contents(SOURCE / folder).items()
        if not path.startswith("generator/")
    }
    assert wanted, f"{folder} is empty"
    assert contents(PACKAGE / "share" / folder) == wanted


def test_files_prints_the_folder() -> None:
    """`files` prints where these files are."""
    answer = run("files")
    assert (answer.returncode, answer.stderr) == (0, b"")
    folder = Path(os.fsdecode(answer.stdout.removesuffix(b"\n")))
    assert folder == PACKAGE / "share"
    assert folder.is_absolute()
    assert (folder / "conf" / "zabbix_sockets.conf").is_file()


def test_types_are_published() -> None:
    """Programs that use the package are type-checked against it."""
    assert (PACKAGE / "py.typed").is_file()


def test_metadata() -> None:
    """A monitored host needs orjson, and tomli where Python has no tomllib, and the command."""
    metadata = importlib.metadata.distribution("zabbix-sockets")
    needed = [each for each in metadata.requires or () if "extra ==" not in each]
    orjson, tomli = needed
    assert orjson.startswith("orjson")
    assert tomli.startswith("tomli")
    assert tomli.replace("'", '"').endswith('; python_version < "3.11"')
    assert metadata.version == zabbix_sockets.__version__
    (command,) = (each for each in metadata.entry_points if each.group == "console_scripts")
    assert (command.name, command.value) == ("zabbix-sockets", "zabbix_sockets.command.cli:main")


@pytest.mark.parametrize("name", zabbix_sockets.__all__)
def test_public_names(name: str) -> None:
    """Each public name is there, imported when it is first used."""
    assert getattr(zabbix_sockets, name) is not None


def test_no_other_names() -> None:
    """A name that is not public is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="has no attribute 'bogus'"):
        _ = zabbix_sockets.bogus
