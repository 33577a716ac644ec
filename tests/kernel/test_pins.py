"""Who may read the iterators, who may load them, and what is said to others."""

from __future__ import annotations

import grp
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zoo
from children import Child, run_as
from json_documents import json_document

from zabbix_sockets import Query, collect
from zabbix_sockets.collector.sources import choose
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SocketsError, SourceUnavailableError
from zabbix_sockets.model.paths import PINS_GROUP
from zabbix_sockets.readers.bpf import loader, records
from zabbix_sockets.readers.bpf.pinned import why_not_pinned
from zabbix_sockets.readers.bpf.pins import ensure_bpffs, find_pins, load, unload
from zabbix_sockets.readers.proc.mounts import read_mounts

NOBODY = 65534
PINNED = (*records.PROGRAMS, records.COUNT_MINISOCKS)


def source_of(pins: str, source: str | None = None) -> dict[str, object]:
    """Return `collector` of a document."""
    collector = json_document(collect(Query(source, netns="own", pins=pins, timeout=30)))[
        "collector"
    ]
    assert isinstance(collector, dict)
    return collector


def group_id() -> int:
    """Return the id of the group that may read the pins."""
    return grp.getgrnam(PINS_GROUP).gr_gid


def test_pinned_needs_no_capability(pins: str) -> None:
    """A user of the group reads everybody's owners, with an empty capability set."""
    with Child(lambda: zoo.listener(port=7101), b"hidden"):

        def look() -> object:
            with open("/proc/self/status") as status:
                assert "CapEff:\t0000000000000000" in status.read()
            return json_document(collect(Query(netns="own", pins=pins, timeout=30)))

        collect(Query(netns="own", pins=pins))  # imports what the child needs
        document = run_as(NOBODY, look, gid=group_id())
    assert isinstance(document, dict)
    assert document["collector"]["source"] == "bpf"
    assert (document["collector"]["degraded"], document["complete"]) == (0, 1)
    (row,) = [row for row in document["processes"] if row["name"] == "hidden"]
    assert row["tcp"]["listen"] == 1
    assert "fds_max_pct" in row


def test_outsider_falls_back_and_is_told(pins: str) -> None:
    """Who is not in the group gets sock_diag, and the reason in words."""
    source_of(pins, "sock_diag")
    collector = run_as(NOBODY, lambda: source_of(pins))
    assert isinstance(collector, dict)
    assert (collector["source"], collector["degraded"]) == ("sock_diag", 1)
    assert "add it to the group zabbix" in collector["reason"]


def test_not_loaded_is_told() -> None:
    """Where nothing is pinned, an unprivileged call names the command that pins."""
    source_of("/nowhere", "sock_diag")
    collector = run_as(NOBODY, lambda: source_of("/nowhere"))
    assert isinstance(collector, dict)
    assert "run zabbix-sockets load" in collector["reason"]
    assert "CAP_BPF" in collector["reason"]
    assert collector["degraded"] == 1


def test_exactly_two_capabilities_load() -> None:
    """With CAP_BPF and CAP_PERFMON alone, a call loads the iterators by itself."""
    source_of("/nowhere")
    collector = run_as(
        NOBODY, lambda: source_of("/nowhere"), capabilities=("CAP_BPF", "CAP_PERFMON")
    )
    assert isinstance(collector, dict)
    assert (collector["source"], collector["degraded"]) == ("bpf", 0)


@pytest.mark.parametrize(
    ("held", "missing"), [("CAP_BPF", "CAP_PERFMON"), ("CAP_PERFMON", "CAP_BPF")]
)
def test_each_capability_is_needed(held: str, missing: str) -> None:
    """Without either of the two the kernel refuses, and the answer names the missing one."""

    def attempt() -> object:
        try:
            loader.LoadedPrograms().close()
        except SourceUnavailableError as error:
            return [str(error), source_of("/nowhere")["reason"]]
        return ["loaded", ""]

    source_of("/nowhere")
    answer = run_as(NOBODY, attempt, capabilities=(held,))
    assert isinstance(answer, list)
    assert "Operation not permitted" in answer[0] or "Permission denied" in answer[0]
    assert f"loading needs {missing}" in answer[1]


def test_load_again_never_leaves_a_reader_without(pins: str) -> None:
    """While the iterators are replaced, every look works."""
    failures: list[BaseException] = []
    stop = threading.Event()

    def look() -> None:
        try:
            while not stop.is_set():
                fd = records.open_pinned(pins)(records.COUNT_SOCKETS)
                list(records.read_chunks(fd, records.RECORD.size, Deadline(30)))
        except BaseException as error:  # noqa: BLE001  # reported below
            failures.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(10):
        load(pins)
    stop.set()
    reader.join()
    assert not failures


def test_other_versions_are_replaced(pins: str) -> None:
    """Pins of another version are recognised, and gone after the next load."""
    older = [f"{pins}/{records.COUNT_SOCKETS}-v{records.ABI - 1}", f"{pins}/name_programs-v8"]
    for old in older:
        with loader.LoadedPrograms() as programs:
            programs.pin(records.COUNT_SOCKETS, old)
    for program in records.PROGRAMS:
        os.unlink(records.pin_path(pins, program))
    with pytest.raises(SourceUnavailableError):
        records.open_pinned(pins)
    assert "another version" in why_not_pinned(pins)
    load(pins)
    assert not any(map(os.path.exists, older))
    os.close(records.open_pinned(pins)(records.SOCKET_OWNERS))


def test_unload_takes_everything_away(tmp_path: Path) -> None:
    """After unload neither pins nor the bpffs are there; a second time does nothing."""
    folder = str(tmp_path)
    load(folder)
    assert len(unload(folder)) == len(PINNED)
    assert os.listdir(folder) == []
    assert unload(folder) == []


def mounts_at(path: Path) -> int:
    """Return how many mounts are on top of each other there."""
    return sum(each.path == str(path) for each in read_mounts("/proc"))


@pytest.mark.parametrize("spelled", ["{0}/", "{0}//.", "{0}/../{0.name}", "{0.parent}/link"])
def test_one_bpffs_however_the_path_is_spelled(tmp_path: Path, spelled: str) -> None:
    """A path with a space, a slash at the end or a link mounts no second bpffs on the first."""
    folder = tmp_path / "with space"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    given = spelled.format(folder)
    for _ in range(2):
        assert load(given) == [records.pin_path(str(folder), each) for each in PINNED]
        assert mounts_at(folder) == 1
    assert len(unload(given)) == len(PINNED)
    assert mounts_at(folder) == 0


def test_folder_in_a_bpffs(tmp_path: Path) -> None:
    """It needs no mount of its own, and stays; whatever the umask, others may enter it."""
    ensure_bpffs(str(tmp_path))
    before = os.umask(0o077)
    try:
        load(str(tmp_path / "sockets"))
    finally:
        os.umask(before)
    assert mounts_at(tmp_path / "sockets") == 0
    assert stat.S_IMODE(os.stat(tmp_path / "sockets").st_mode) == 0o755
    unload(str(tmp_path / "sockets"))
    assert "sockets" in os.listdir(tmp_path)
    os.rmdir(tmp_path / "sockets")
    unload(str(tmp_path))
    assert mounts_at(tmp_path) == 0


@pytest.mark.parametrize(("owner", "mode"), [(NOBODY, 0o755), (0, 0o1777), (0, 0o775)])
def test_bpffs_of_others(tmp_path: Path, owner: int, mode: int) -> None:
    """Where others could put something in the place of the pins, nothing is pinned."""
    ensure_bpffs(str(tmp_path))
    os.chmod(tmp_path, mode)
    os.chown(tmp_path, owner, -1)
    with pytest.raises(SocketsError, match=f"owner {owner}, mode {mode:04o}") as caught:
        load(str(tmp_path))
    assert caught.value.hint == f"as root: chown root {tmp_path} && chmod 0755 {tmp_path}"
    assert not list(find_pins(str(tmp_path)))
    unload(str(tmp_path))


def test_group_of_the_pins() -> None:
    """The pins are for the group that is asked for, and the reason names it to others."""
    folder = tempfile.mkdtemp(prefix="zabbix-sockets-pins-")
    os.chmod(folder, 0o755)
    try:
        paths = load(folder, "games")
        games = grp.getgrnam("games").gr_gid
        assert {os.stat(path).st_gid for path in paths} == {games}
        collector = run_as(NOBODY, lambda: source_of(folder))
        assert isinstance(collector, dict)
        assert "add it to the group games" in collector["reason"]
        collector = run_as(NOBODY, lambda: source_of(folder), gid=games)
        assert isinstance(collector, dict)
        assert (collector["source"], collector["reason"]) == ("bpf", "")
    finally:
        unload(folder)
        os.rmdir(folder)


def test_no_such_group(tmp_path: Path) -> None:
    """The message names the groups that might be meant, and the hint the option."""
    with pytest.raises(SocketsError, match=r"no group bogus: .*; there is .*zabbix") as caught:
        load(str(tmp_path), "bogus")
    assert "load --group NAME" in caught.value.hint


def error_and_hint_of(work: Callable[[], object]) -> list[str]:
    """Return the error of *work* and its hint."""
    try:
        work()
    except SocketsError as error:
        return [str(error), error.hint]
    return []


def test_what_is_lacking_is_told(pins: str) -> None:
    """To root without the capabilities, to root without CAP_CHOWN, and to others."""
    both = ("CAP_BPF", "CAP_PERFMON")
    root = run_as(0, lambda: error_and_hint_of(lambda: load(pins)), capabilities=("CAP_BPF",))
    assert isinstance(root, list)
    assert root[0] == "can't load: loading needs CAP_PERFMON, which root has not here"
    assert "container" in root[1]
    other = run_as(NOBODY, lambda: error_and_hint_of(lambda: load(pins)))
    assert other == ["can't load: loading needs CAP_PERFMON and CAP_BPF", "run it as root"]
    giver = run_as(0, lambda: error_and_hint_of(lambda: load(pins)), gid=0, capabilities=both)
    assert isinstance(giver, list)
    assert giver[0].endswith("to the group zabbix: Operation not permitted")
    assert giver[1] == "that takes CAP_CHOWN, or a process of that group"
    assert (
        run_as(0, lambda: error_and_hint_of(lambda: load(pins)), gid=group_id(), capabilities=both)
        == []
    )
    path = records.pin_path(pins, records.COUNT_CLIENTS)
    assert run_as(NOBODY, lambda: error_and_hint_of(lambda: unload(pins))) == [
        f"can't remove {path}: Permission denied",
        "run it as root",
    ]
    assert not [name for name in os.listdir(pins) if name.endswith("-new")]


def test_folder_that_may_not_be_entered() -> None:
    """It is not called empty: the folder is named, and what to do."""
    folder = tempfile.mkdtemp(prefix="zabbix-sockets-pins-")
    os.chmod(folder, 0o755)
    try:
        load(folder)
        os.chmod(folder, 0o700)
        collector = run_as(NOBODY, lambda: source_of(folder), gid=group_id())
        assert isinstance(collector, dict)
        assert f"this user may not enter {folder}: let it" in collector["reason"]
    finally:
        unload(folder)
        os.rmdir(folder)


def loaded_programs() -> int:
    """Return how many BPF programs this process has loaded: proc(5), /proc/PID/fdinfo."""
    count = 0
    for info in Path("/proc/self/fdinfo").iterdir():
        try:
            count += b"prog_type:" in info.read_bytes()
        except FileNotFoundError:  # that of the list itself is closed by now
            continue
    return count


def test_only_what_is_needed_is_loaded() -> None:
    """A call that loads by itself has the verifier look at no program that it doesn't read."""
    before = loaded_programs()
    with loader.LoadedPrograms((records.COUNT_SOCKETS,)) as programs:
        os.close(programs.open(records.COUNT_SOCKETS))
        assert loaded_programs() == before + 1
        os.close(programs.open(records.SOCKET_OWNERS))  # loaded when it is opened
        os.close(programs.open(records.SOCKET_OWNERS))
        assert loaded_programs() == before + 2
    assert loaded_programs() == before
    with choose(Query(pins="/nowhere")) as plan:
        assert plan.visibility.source == "bpf"
        assert loaded_programs() == before + 1
    with choose(Query(pins="/nowhere", filter="sport = :1")) as plan:
        assert plan.open_iterator
        os.close(plan.open_iterator(records.SOCKET_OWNERS))
        assert loaded_programs() == before + 1


def test_no_descriptor_leaks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither loading nor failing to load leaves a descriptor open."""

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    loader.LoadedPrograms().close()
    before = descriptors()
    for _ in range(3):
        with loader.LoadedPrograms() as programs:
            os.close(programs.open(records.COUNT_SOCKETS))
    assert descriptors() == before
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"no object")
    monkeypatch.setattr(loader, "object_path", lambda _name: str(broken))
    for _ in range(3):
        with pytest.raises(SourceUnavailableError, match="can't open the BPF object"):
            loader.LoadedPrograms()
    assert descriptors() == before
