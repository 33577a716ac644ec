"""The trees are kept whole, and systems that were booted leave nothing behind."""

import os
from pathlib import Path

import psutil
import pytest

from . import trees
from .booted import System, booted, prepared
from .conftest import HOSTS, or_skipped
from .trees import Layer, UnavailableError


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layer:
    """A layer with two files, in a folder of the test's own, which is marked as whole."""
    monkeypatch.setattr(trees, "FOLDER", tmp_path)
    layer = Layer("bookworm", trees.BASE)
    (layer.folder / "etc").mkdir(parents=True)
    for name in ("hostname", "hosts"):
        (layer.folder / "etc" / name).touch()
    layer.mark()
    return layer


def test_a_whole_layer(layer: Layer) -> None:
    """It is used, for others to write above it and not into it."""
    assert layer.is_whole()
    with trees.held("bookworm") as layers:
        assert layers == [layer.folder]


def test_a_layer_that_lacks_a_file(layer: Layer) -> None:
    """It is not used, and what would make it anew is said."""
    (layer.folder / "etc/hosts").unlink()
    assert not layer.is_whole()
    with (
        pytest.raises(UnavailableError, match=r"python -m tests\.systems\.trees bookworm"),
        trees.held("bookworm"),
    ):
        pass


def test_an_old_layer(layer: Layer) -> None:
    """It is used where none can be made, and made anew elsewhere."""
    os.utime(layer.folder.parent / "made", (0, 0))
    assert layer.is_whole()
    assert not layer.is_whole(oldest_seconds=3600)


def test_a_layer_of_another_recipe(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not used any more."""
    monkeypatch.setattr(trees, "_RECIPE", -1)
    assert not layer.is_whole()


@pytest.mark.usefixtures("layer")
def test_a_scratch_folder() -> None:
    """It goes when it is left; one that a kill has left goes with the next, one in use stays."""
    killed = trees.FOLDER / "runs" / "killed"
    with trees.scratch() as first:
        killed.mkdir()
        with trees.scratch() as second:
            assert not killed.exists()
            assert first.is_dir()
            assert second.is_dir()
    assert [path for path in (first, second) if path.exists()] == []


def leftovers(system: System) -> list[str]:
    """Return what there is of a system: mounts, cgroups, files, its first process."""
    folder = system.tree.folder
    mounts = Path("/proc/self/mounts").read_text("utf-8").splitlines()
    return [
        *(line for line in mounts if str(folder) in line),
        *(str(cgroup) for cgroup in system.cgroups if cgroup.exists()),
        *([str(folder)] if folder.exists() else []),
        *([str(system.leader)] if psutil.pid_exists(system.leader) else []),
    ]


def fail_on_purpose(seen: list[System]) -> None:
    """Boot a system, of which all is there, and fail."""
    with prepared(HOSTS[0][0]) as tree, booted(tree) as system:
        seen.append(system)
        assert len(leftovers(system)) == len(system.cgroups) + 2
        raise AssertionError("on purpose")


@pytest.mark.kernel
def test_a_system_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A test that fails shows what the system's journal has, and nothing of the system is left."""
    seen: list[System] = []
    with or_skipped(), pytest.raises(AssertionError, match="on purpose"):
        fail_on_purpose(seen)
    assert "systemd[1]: " in capsys.readouterr().err
    assert leftovers(seen[0]) == []
