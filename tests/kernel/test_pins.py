"""Who may read the iterators, who may load them, and what is said to others."""

import os
import threading
from pathlib import Path

import pytest
import zoo
from children import Child, run_as

from zabbix_sockets import Query, build_document, collect
from zabbix_sockets.deadline import Deadline
from zabbix_sockets.errors import SourceUnavailableError
from zabbix_sockets.pins import GROUP, load, unload
from zabbix_sockets.readers import bpf, libbpf

NOBODY = 65534


def source_of(pins: str, source: str | None = None) -> dict[str, object]:
    """Return `collector` of a document."""
    collector = build_document(collect(Query(source, netns="own", pins=pins, timeout=30)))[
        "collector"
    ]
    assert isinstance(collector, dict)
    return collector


def group_id() -> int:
    """Return the id of the group that may read the pins."""
    import grp  # noqa: PLC0415

    return grp.getgrnam(GROUP).gr_gid


def test_pinned_needs_no_capability(pins: str) -> None:
    """A user of the group reads everybody's owners, with an empty capability set."""
    with Child(lambda: zoo.listener(port=7101), b"hidden"):

        def look() -> object:
            with open("/proc/self/status") as status:
                assert "CapEff:\t0000000000000000" in status.read()
            return build_document(collect(Query(netns="own", pins=pins, timeout=30)))

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
            libbpf.LoadedPrograms().close()
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
                fd = bpf.open_pinned(pins)(bpf.COUNT)
                list(bpf.read_chunks(fd, bpf.RECORD.size, Deadline(30)))
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
    old = f"{pins}/{bpf.COUNT}-v{bpf.ABI - 1}"
    with libbpf.LoadedPrograms() as programs:
        programs.pin(bpf.COUNT, old)
    for program in bpf.PROGRAMS:
        os.unlink(bpf.pin_path(pins, program))
    with pytest.raises(SourceUnavailableError, match="another version"):
        bpf.open_pinned(pins)
    load(pins)
    assert not os.path.exists(old)
    os.close(bpf.open_pinned(pins)(bpf.OWN))


def test_unload_takes_everything_away(tmp_path: Path) -> None:
    """After unload neither pins nor the bpffs are there; a second time does nothing."""
    folder = str(tmp_path)
    load(folder)
    assert len(unload(folder)) == len(bpf.PROGRAMS)
    assert os.listdir(folder) == []
    assert unload(folder) == []


def test_no_descriptor_leaks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither loading nor failing to load leaves a descriptor open."""

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    libbpf.LoadedPrograms().close()
    before = descriptors()
    for _ in range(3):
        with libbpf.LoadedPrograms() as programs:
            os.close(programs.open(bpf.COUNT))
    assert descriptors() == before
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"no object")
    monkeypatch.setattr(libbpf, "object_path", lambda: str(broken))
    for _ in range(3):
        with pytest.raises(SourceUnavailableError, match="can't open the BPF object"):
            libbpf.LoadedPrograms()
    assert descriptors() == before
