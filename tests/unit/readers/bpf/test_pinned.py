"""Why the pins can't be read: each state of their folder has its own true sentence."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import run_as

from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.bpf.pinned import is_bpffs, why_not_pinned

NOBODY = 65534
OTHER = b"30 1 0:26 / /run rw shared:5 - tmpfs tmpfs rw\n"
BEGINNING = "not loaded"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anybody may enter: pytest's own is closed to others."""
    path = Path(tempfile.mkdtemp(prefix="zabbix-sockets-"))
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def proc_with(folder: Path, own: bytes, system: bytes = OTHER) -> str:
    """Return a /proc where this process, and the first one, see these mounts."""
    for process, mounts in (("self", own), ("1", system)):
        (folder / "proc" / process).mkdir(parents=True, exist_ok=True)
        (folder / "proc" / process / "mountinfo").write_bytes(mounts)
    return str(folder / "proc")


def mount(path: Path | str, device: str = "0:77") -> bytes:
    """Return the line of a bpffs."""
    escaped = os.fsencode(path).replace(b" ", b"\\040")
    return b"40 30 %s / %s rw,nosuid shared:9 - bpf bpf rw\n" % (device.encode(), escaped)


def device_of(path: Path) -> str:
    """Return st_dev as mountinfo has it."""
    device = path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def pin(folder: Path, *programs: str, mode: int = 0o440) -> None:
    """Put something in the place of pins."""
    for program in programs or records.PROGRAMS:
        path = Path(records.pin_path(str(folder), program))
        path.touch()
        path.chmod(mode)


def told_to_other(work: Callable[[], str]) -> str:
    """Return what *work* says to a user without privilege."""
    if os.geteuid():
        return work()
    answer = run_as(NOBODY, work)
    assert isinstance(answer, str)
    return answer


def test_missing_folder(folder: Path) -> None:
    """Nothing was ever loaded here."""
    assert why_not_pinned(str(folder / "no")) == (
        f"not loaded, there is no {folder}/no: run zabbix-sockets load as root"
    )


def test_no_bpffs(folder: Path) -> None:
    """The folder is there, and no bpffs is."""
    proc = proc_with(folder, OTHER)
    assert f"{folder} is no bpffs: run zabbix-sockets load as root" in why_not_pinned(
        str(folder), proc
    )


def test_nothing_in_the_bpffs(folder: Path) -> None:
    """It is mounted, and empty."""
    proc = proc_with(folder, OTHER + mount(folder, device_of(folder)))
    assert why_not_pinned(str(folder), proc) == (
        f"not loaded into {folder}: run zabbix-sockets load as root"
    )


def test_no_folder(folder: Path) -> None:
    """The kernel's own words where something else is in its place."""
    (folder / "file").touch()
    assert "Not a directory" in why_not_pinned(f"{folder}/file")


def test_some_are_missing(folder: Path) -> None:
    """A load that was killed left some."""
    pin(folder, records.COUNT_SOCKETS)
    assert why_not_pinned(str(folder)) == (
        f"not all iterators are in {folder}: run zabbix-sockets load again"
    )


def test_another_version(folder: Path) -> None:
    """What an earlier version pinned is no reason to say that nothing is loaded."""
    (folder / f"{records.COUNT_SOCKETS}-v{records.ABI - 1}").touch()
    assert why_not_pinned(str(folder)) == (
        "the iterators of another version are loaded: run zabbix-sockets load again"
    )


@pytest.mark.parametrize("where", ["", "below"])
def test_closed_folder(folder: Path, where: str) -> None:
    """A folder that may not be entered is named, and not called empty."""
    pins = folder / "closed" / where
    pins.mkdir(parents=True)
    pin(pins)
    (folder / "closed").chmod(0o700 if os.geteuid() == 0 else 0)
    said = told_to_other(lambda: why_not_pinned(str(pins)))
    assert said == (
        f"this user may not enter {folder}/closed: let it (chmod a+rx {folder}/closed),"
        " or load into another folder (--pins)"
    )
    (folder / "closed").chmod(0o700)


@pytest.mark.parametrize("pins", ["pins", "with space"])
@pytest.mark.parametrize("over", [b"", b"41 40 0:26 /x %s rw - tmpfs tmpfs rw\n"])
def test_hidden_by_a_mount_namespace(folder: Path, pins: str, over: bytes) -> None:
    """The system has them, and this process's own mounts don't, or have something above."""
    path = folder / pins
    own = OTHER
    if over:
        own += mount(path) + over % os.fsencode(path).replace(b" ", b"\\040")
    said = why_not_pinned(f"{path}/", proc_with(folder, own, OTHER + mount(path)))
    assert said.startswith(f"{path}/ is hidden from this process, which has a mount namespace")
    same = proc_with(folder, OTHER + mount(path), OTHER + mount(path))
    assert why_not_pinned(str(path), same).startswith(BEGINNING)


def test_group_that_reads_them(folder: Path) -> None:
    """The group that is named is the one that the pins have, whatever it is called."""
    if os.geteuid():
        pytest.skip("giving a file to another group takes root")
    pin(folder)
    for program in records.PROGRAMS:
        os.chown(records.pin_path(str(folder), program), -1, grp.getgrnam("games").gr_gid)
    said = told_to_other(lambda: why_not_pinned(str(folder)))
    assert said == f"this user may not read {folder}: add it to the group games"
    for program in records.PROGRAMS:
        os.chown(records.pin_path(str(folder), program), -1, 65432)
    said = told_to_other(lambda: why_not_pinned(str(folder)))
    assert said.endswith("it is for the group with the id 65432")


def test_nobody_but_root(folder: Path) -> None:
    """Root's own group is no advice."""
    if os.geteuid():
        pytest.skip("root's files take root")
    pin(folder)
    said = told_to_other(lambda: why_not_pinned(str(folder)))
    assert said.startswith(f"nobody but root may read {folder}: as root, run zabbix-sockets load")


def test_process_that_runs_without_its_user_s_group(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that runs since before its user was added needs a restart, not another group."""
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.R_OK)
    monkeypatch.setattr(os, "getgroups", list)
    monkeypatch.setattr(os, "getegid", lambda: 65431)
    group = grp.struct_group(("agents", "x", 65432, [pwd.getpwuid(os.geteuid()).pw_name]))
    monkeypatch.setattr(grp, "getgrgid", lambda _: group)
    pin(folder)
    stat = os.stat_result((0o100440, 1, 1, 1, 0, 65432, 0, 0, 0, 0))
    monkeypatch.setattr(os, "stat", lambda *_, **__: stat)
    assert why_not_pinned(str(folder)) == (
        "this process runs without the group agents, in which its user is: restart it"
    )
    monkeypatch.setattr(os, "getgroups", lambda: [65432])
    assert "a security module" in why_not_pinned(str(folder))


def test_spelling_of_the_path(folder: Path) -> None:
    """A bpffs is known by its device: a link, a slash at the end or a space change nothing."""
    pins = folder / "with space"
    pins.mkdir()
    (folder / "link").symlink_to(pins)
    # What a user may mount by FUSE: a path that ends a line, to who reads text.
    odd = b"50 30 0:99 / /home/x\\015/y\rz rw - fuse fuse rw\n\r\n"
    proc = proc_with(folder, odd + mount(pins, device_of(pins)))
    for spelled in (str(pins), f"{pins}/", f"{folder}/link", f"{folder}/./with space//"):
        assert is_bpffs(spelled, proc)
    assert not is_bpffs(str(folder / "no"), proc)
    assert not is_bpffs(str(pins), proc_with(folder, odd + mount(pins, "0:x")))
