"""One snapshot at a time per user."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zoo
from children import Child, run_as
from turns import one_at_a_time

from zabbix_sockets.command.lock import Turn, lock_folders
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import BusyError

NOBODY = 65534
OURS = f"zabbix-sockets-{os.geteuid()}"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two folders that stand for /dev/shm and /tmp."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
        folder.chmod(0o1777)
    monkeypatch.setattr("zabbix_sockets.command.lock._SHARED_FOLDERS", tuple(map(str, folders)))
    return folders


def lock_folder() -> str | None:
    """Return the first place for a lock."""
    return next(lock_folders(), None)


def hold() -> object:
    """Take the lock and keep it until the process ends."""
    lock = one_at_a_time(Deadline(60))
    lock.__enter__()  # never left: the process is killed
    return lock


@pytest.mark.usefixtures("shared")
def test_busy() -> None:
    """While another call holds the lock a second one gives up at its deadline."""
    lock = one_at_a_time(Deadline(0.05))
    with Child(hold), pytest.raises(BusyError, match=r"did not end within 0\.05 s") as caught, lock:
        raise AssertionError
    assert "--timeout" in caught.value.hint


@pytest.mark.usefixtures("shared")
def test_second_waits_until_the_first_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call waits; the lock is free as soon as its holder ends, however it ends."""
    waited = []
    with Child(hold) as holder:

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            holder.end()

        monkeypatch.setattr("zabbix_sockets.command.lock.sleep", sleep)
        with one_at_a_time(Deadline(60)):
            assert holder.pid == 0
    assert waited


@pytest.mark.usefixtures("shared")
def test_lock_is_given_back() -> None:
    """Leaving gives the lock back, also by an error."""
    for _ in range(2):
        with pytest.raises(KeyError), one_at_a_time(Deadline(0)):
            raise KeyError
    with one_at_a_time(Deadline(0)):
        pass


def test_private_folder(shared: list[Path]) -> None:
    """The folder is made in the first place that is there, for this user alone."""
    folder = lock_folder()
    assert folder == str(shared[0] / OURS)
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert lock_folder() == folder


def test_names_that_others_have_taken(
    shared: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes all names in the shared folders doesn't take the lock: setup's folder has one."""
    monkeypatch.setattr("zabbix_sockets.model.paths.STATE_FOLDER", str(tmp_path / "state"))
    for folder in shared:
        (folder / OURS).write_text("")
    assert lock_folder() is None
    kept = tmp_path / f"state-{os.geteuid()}"
    kept.mkdir(0o700)
    assert lock_folder() == str(kept)
    kept.chmod(0o777)
    assert lock_folder() is None


def world_writable(folder: Path) -> None:
    """Somebody may have opened our folder to all."""
    folder.mkdir()
    folder.chmod(0o777)


def group_writable(folder: Path) -> None:
    """Or to a group."""
    folder.mkdir()
    folder.chmod(0o770)


def link(folder: Path) -> None:
    """A link to a folder of ours that another user put there."""
    target = folder.parent.parent / "target"
    target.mkdir(mode=0o700)
    folder.symlink_to(target)


def dangling_link(folder: Path) -> None:
    """A link to nothing."""
    folder.symlink_to("nowhere")


def plain_file(folder: Path) -> None:
    """Not even a folder."""
    folder.touch(mode=0o600)


def foreign(folder: Path) -> None:
    """A folder that another user made before us."""
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)


@pytest.mark.parametrize(
    "prepare", [world_writable, group_writable, link, dangling_link, plain_file, foreign]
)
def test_unsafe_folder_is_passed_over(shared: list[Path], prepare: Callable[[Path], None]) -> None:
    """A folder that is not this user's own is not used, and the next place is."""
    prepare(shared[0] / OURS)
    assert lock_folder() == str(shared[1] / OURS)
    with one_at_a_time(Deadline(0)):
        pass
    assert not (shared[0] / OURS / "zabbix-sockets.lock").exists()
    assert (shared[1] / OURS / "zabbix-sockets.lock").exists()


def test_no_safe_place(shared: list[Path]) -> None:
    """Without any safe place the call goes on without a lock."""
    for folder in shared:
        world_writable(folder / OURS)
    assert lock_folder() is None
    with one_at_a_time(Deadline(0)), one_at_a_time(Deadline(0)):
        pass


def test_missing_place(shared: list[Path]) -> None:
    """A place that is not there is passed over."""
    shared[0].rmdir()
    assert lock_folder() == str(shared[1] / OURS)


def test_users_do_not_wait_for_each_other(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's call has another lock."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    shared = tmp_path_factory.getbasetemp().parent.parent / f"{OURS}-test-{os.getpid()}"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr("zabbix_sockets.command.lock._SHARED_FOLDERS", (str(shared),))

    def look() -> object:
        with one_at_a_time(Deadline(0)):
            return lock_folder()

    try:
        with one_at_a_time(Deadline(60)):
            assert run_as(NOBODY, look) == str(shared / f"zabbix-sockets-{NOBODY}")
    finally:
        for folder in shared.iterdir():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
        shared.rmdir()


def test_no_room_for_the_lock(shared: list[Path]) -> None:
    """Where the lock's file can't be made, for want of an inode say, the next place is."""
    (shared[0] / OURS).mkdir(mode=0o700)
    (shared[0] / OURS / "zabbix-sockets.lock").mkdir()
    with one_at_a_time(Deadline(0)), pytest.raises(BusyError), one_at_a_time(Deadline(0)):
        raise AssertionError
    assert (shared[1] / OURS / "zabbix-sockets.lock").exists()


QUESTION = ("get", "--", "")


def is_waited_for(turn: Turn) -> bool:
    """Whether another call waits for the lock."""
    try:
        return turn._is_waited_for()
    except FileNotFoundError:
        return False  # nobody ever has


def answer_to(
    asked: Sequence[str], *, began_later: bool, meanwhile: Callable[[], object] = lambda: None
) -> str | None:
    """Ask while a call answers QUESTION, begun before or after that; return what is found.

    *meanwhile* is called when the question has been asked, before it is answered.
    """
    found: list[str | None] = []

    def ask() -> None:
        with one_at_a_time(Deadline(60), asked) as turn:
            found.append(turn.answer)

    thread = threading.Thread(target=ask)
    with one_at_a_time(Deadline(0), QUESTION) as turn:
        thread.start()
        zoo.wait_for(lambda: is_waited_for(turn), "somebody to wait", 60)
        if began_later:
            turn._began = time.monotonic_ns()
        meanwhile()
        turn.share("answer é\n")
    thread.join()
    return found[0]


@pytest.mark.usefixtures("shared")
def test_answer_is_shared() -> None:
    """Who waits gets the answer to its own question that was begun after it asked."""
    assert answer_to(QUESTION, began_later=True) == "answer é\n"
    assert answer_to(("count", "--", "x"), began_later=True) is None
    assert answer_to((), began_later=True) is None
    assert answer_to(QUESTION, began_later=False) is None


@pytest.mark.usefixtures("shared")
def test_same_words_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are another question: `--config mine.toml` is another file there."""

    def move() -> None:
        monkeypatch.chdir(tmp_path)

    assert answer_to(QUESTION, began_later=True, meanwhile=move) is None


@pytest.mark.usefixtures("shared")
def test_no_time_for_a_snapshot() -> None:
    """Who gets the lock too late for a snapshot of its own is told so."""
    deadline = Deadline(60)
    found: list[object] = []

    def ask() -> None:
        try:
            with one_at_a_time(deadline):
                found.append("a turn")
        except BusyError as error:
            found.append(error)

    thread = threading.Thread(target=ask)
    with one_at_a_time(Deadline(0)) as turn:
        thread.start()
        zoo.wait_for(lambda: is_waited_for(turn), "somebody to wait", 60)
        deadline.end = time.monotonic() + 3
    thread.join()
    assert [str(each) for each in found] == [
        "another snapshot of this user did not end within 60 s"
    ]


def test_nobody_waits(shared: list[Path]) -> None:
    """Nothing is written for nobody."""
    with one_at_a_time(Deadline(0), QUESTION) as turn:
        turn.share("answer")
    assert not list((shared[0] / OURS).glob("answer*"))
