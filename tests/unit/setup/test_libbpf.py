"""Whether the iterators can be loaded, and what is said where they can't."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tests.unit.host.trees import plant
from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.setup.libbpf import why_libbpf_fails

from .hosts import Host, to_do


def missing(name: str) -> None:
    """Open no library: a host without libbpf."""
    raise OSError(name)


def refused() -> AbstractContextManager[object]:
    """Load nothing: a kernel that refuses."""
    raise SourceUnavailableError("can't load the BPF programs: this libbpf is too old", "libbpf: x")


def loaded() -> AbstractContextManager[object]:
    """Load what a kernel takes."""
    return nullcontext()


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("ID=debian\nVERSION_ID=12\n", "apt install libbpf1"),
        ("ID=debian\nVERSION_ID=11\n", "apt install libbpf0"),
        ("ID=rocky\nID_LIKE='rhel fedora'\n", "dnf install libbpf"),
        ("ID=other\n", "install it, as this distribution calls it"),
    ],
)
def test_missing(tmp_path: Path, release: str, command: str) -> None:
    """Its package is named as the distribution calls it, to whoever looks."""
    root = plant(tmp_path, {"etc/os-release": release})
    for may_load in (False, True):
        found = why_libbpf_fails(may_load=may_load, root=root, open_library=missing, load=refused)
        assert found == f"libbpf: {command}"


def test_too_old_for_the_kernel() -> None:
    """A libbpf that is there and can't load is told; who may not load can't find out."""
    found = why_libbpf_fails(may_load=True, open_library=str, load=refused)
    assert found == "the BPF iterators: can't load the BPF programs: this libbpf is too old"
    assert why_libbpf_fails(may_load=False, open_library=str, load=refused) == ""
    assert why_libbpf_fails(may_load=True, open_library=str, load=loaded) == ""


@pytest.mark.parametrize("has_systemd", [True, False])
def test_rest_is_done(host: Host, has_systemd: bool) -> None:
    """No unit is enabled that would fail, and nothing is loaded; the agent gets its keys."""
    if not has_systemd:
        (host.root / "run/systemd/system/.keep").unlink()
        (host.root / "run/systemd/system").rmdir()
    host.no_libbpf = "libbpf: apt install libbpf1"
    plan = host.plan()
    assert "zabbix_sockets.conf" in to_do(plan)[0]
    assert not any("load" in each for each in to_do(plan))
    assert plan.faults == ["libbpf: apt install libbpf1"]
    assert host.set_up() == ["something is missing"]
