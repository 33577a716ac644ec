"""What real programs are called, and what no program achieves by what it calls itself."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.programs import executable_name, name_by_comm, program_name

from ..proctree import CAPTURE  # noqa: TID252  # a test folder is no package

Captured = tuple[str, bytes, bytes, bytes, str]
"""Program and version, comm, arguments, name of the executable, name."""

COMM = st.binary(min_size=1, max_size=15).map(lambda name: name.replace(b"\0", b"x"))
PARTS = (
    *(b"app", b" ", b"/", b": ", b" (", b" [", b" v1.2", b" 1.2.3", b" worker", b" -x", b"["),
    *(b"main", b"MainThread", b"\0", b"\xff", b"\n", b"a" * 15),
)
TITLES = st.lists(st.sampled_from(PARTS), max_size=8).map(b"".join)
FACTS = st.none() | TITLES | st.binary(max_size=80)


def captured() -> list[Captured]:
    """Return what was seen of real programs, one process of each kind."""
    found = []
    for line in (CAPTURE / "programs.tsv").read_text("ascii").splitlines():
        program, comm, arguments, executable, name = line.split("\t")
        seen = (field.replace("\\0", "\0").encode() for field in (comm, arguments, executable))
        found.append((program, *seen, name))
    return found  # type: ignore[return-value]


def name_of(comm: bytes, arguments: bytes | None = b"", executable: bytes | None = b"x") -> str:
    """Return the name alone."""
    return program_name(comm, lambda: arguments, lambda: executable).name


@pytest.mark.parametrize(("program", "comm", "arguments", "executable", "name"), captured())
def test_real_programs(
    program: str, comm: bytes, arguments: bytes, executable: bytes, name: str
) -> None:
    """Each is called by its program, without its version, state or role."""
    seen = program_name(comm, lambda: arguments, lambda: b"/usr/bin/" + executable)
    assert seen == (name, True), program


def test_real_programs_that_keep_their_names() -> None:
    """Whom comm told rightly is called so still; these were told otherwise before."""
    changed = {comm for _, comm, _, _, name in captured() if name != comm.decode("latin-1")}
    assert changed == {
        b"/usr/sbin/amavi",
        b"MainThread",
        b"PM2 v7.0.4: God",
        b"[celeryd: celer",
        b"cache-main",
        b"gunicorn: maste",
        b"gunicorn: worke",
        b"next-server (v1",
        b"node /srv/shop/",
        b"nsd: main",
        b"nsd: server 1",
        b"nsd: xfrd",
        b"postgrey --inet",
        b"prometheus-node",  # which the kernel cut
        b"spamd child",
        b"tmux: server",
    }


# Of others, as they were told of.
@pytest.mark.parametrize(
    ("comm", "arguments", "executable", "name"),
    [
        # titles
        (b"sidekiq 7.2.4 a", b"sidekiq 7.2.4 app [0 of 10 busy]", b"ruby", "sidekiq"),
        (b"puma 6.4.2 (tcp", b"puma 6.4.2 (tcp://0.0.0.0:3000) [x]", b"ruby", "puma"),
        (b"resque-2.6.0: W", b"resque-2.6.0: Waiting for *", b"ruby", "resque"),
        (b"unicorn worker[", b"unicorn worker[11] -c u.rb", b"ruby", "unicorn"),
        (b"a-long-daemon-n", b"a-long-daemon-name 1.2 [idle]", b"x", "a-long-daemon-name"),
        (b"a-long-daemon-n", b"a-long-daemon-name: idle", b"x", "a-long-daemon-name"),
        (b"agent v3", b"agent v3", b"x", "agent"),
        # no titles
        (b"npm run start", b"npm run start", b"node", "npm run start"),
        (b"Isolated Web Co", b"/usr/lib/firefox/firefox\0-contentproc", b"x", "Isolated Web Co"),
        (b"ray::IDLE", b"ray::IDLE", b"python3.11", "ray::IDLE"),
        (b"(sd-pam)", b"(sd-pam)", b"systemd", "%28sd-pam)"),
        (b" (x", b"", b"x", "%20(x"),
        (b"[: x", b"", b"x", "[: x"),
        (b"app v2ray", b"", b"x", "app v2ray"),
        (b"two workers", b"", b"x", "two workers"),
        (b"A - B", b"", b"x", "A - B"),
        # cut by the kernel
        (b"systemd-resolve", b"/lib/systemd/systemd-resolved\0", b"x", "systemd-resolved"),
        (b"exactly-fifteen", b"/bin/exactly-fifteen\0-v\0", b"x", "exactly-fifteen"),
        (
            b"unattended-upgr",
            b"python3\0-u\0/bin/unattended-upgrade-shutdown\0",
            b"python3.11",
            "unattended-upgrade-shutdown",
        ),
        (b"php-fpm-and-mor", b"php-fpm-and-more: pool www\0", b"x", "php-fpm-and-more"),
        (b"chosen-by-prctl", b"/usr/bin/python3\0-c\0x\0", b"python3.11", "chosen-by-prctl"),
        (b"fourth-argument", b"a\0b\0c\0fourth-argument-is-not-tried\0", b"x", "fourth-argument"),
        (b"fifteen-letters", b"fifteen-letters\n\0\0\0", b"x", "fifteen-letters"),
        # paths
        (b"/usr/sbin/postg", b"/usr/sbin/postgrey --pidfile=/x", b"perl", "postgrey"),
        (b"/opt/x (v1.2.3)", b"/opt/x (v1.2.3)", b"perl", "x"),
        (b"bin/daemon", b"bin/daemon --x /y", b"perl", "daemon"),
        (b"/usr/bin/python", b"/usr/bin/python3 /usr/bin/salt-master X", b"python3.11", "python3"),
        (b"/srv/x", b"other", b"perl5.36", "perl5.36"),
        (b"/srv/x", b"perl", b"perl5.36", "perl"),
        (b"/srv/", b"/srv/", b"perl", "perl"),
        (b"f2b/server", b"/usr/bin/python3\0-x", b"python3.11", "f2b/server"),
        # threads
        (b"pdns-r/main", b"pdns_recursor", b"pdns_recursor", "pdns_recursor"),
        (b"node-MainThread", b"node\0x.js", b"node", "node"),
        (b"Main", b"/usr/bin/mumble-server\0-fg", b"mumble-server", "mumble-server"),
        (b"GameThread", b"PalServer-Linux", b"PalServer-Linux", "PalServer-Linux"),
        (b"main", b"ustreamer: ustreamer --port=80", b"ustreamer", "ustreamer"),
        (b"MainThread", b"python3\0-m\0x", b"python3.11", "python3"),
        (b"MainThread", b"python\0-m\0x", b"python3.11", "python"),
        (b"MainThread", b"p\0-m\0x", b"python3.11", "python3.11"),
        (b"MainThread", b"\0", b"python3.11", "python3.11"),
        (b"main", b"/opt/other\0", b"vector", "vector"),
        (b"main", b"/opt/vector --x\0", b"", "vector"),
        (b"main", b"", b"", "main"),
        (b"main", b"x", b"/memfd:runc (deleted)", "runc"),
        (b"main", b"x", b"memfd:runc", "runc"),
        (b"main: idle", b"", b"vector", "vector"),
        (b"main", b"", b"main", "main"),
    ],
)
def test_other_programs(comm: bytes, arguments: bytes, executable: bytes, name: str) -> None:
    """Each rule has its examples, and what looks like them and is not."""
    assert program_name(comm, lambda: arguments, lambda: executable) == (name, True)


@pytest.mark.parametrize(
    ("comm", "arguments", "executable", "name", "certain"),
    [
        (b"nginx", None, None, "nginx", True),
        (b"gunicorn: maste", None, None, "gunicorn", True),
        (b"systemd-resolve", None, None, "systemd-resolve", False),
        (b"main", None, b"vector", "vector", True),
        (b"main", b"/opt/vector\0-x", None, "vector", False),
        (b"main", None, None, "main", False),
        (b"MainThread", None, b"python3.11", "python3.11", False),
        (b"/usr/sbin/postg", None, b"perl", "perl", False),
        (b"/usr/sbin/postg", b"/usr/sbin/postgrey -d", None, "postgrey", True),
        (b"f2b/server", None, None, "f2b/server", False),
    ],
)
def test_what_cannot_be_looked_at(
    comm: bytes, arguments: bytes | None, executable: bytes | None, name: str, *, certain: bool
) -> None:
    """There is always a name, and it is said when another one might be right."""
    assert program_name(comm, lambda: arguments, lambda: executable) == (name, certain)


@given(COMM | TITLES.map(lambda title: title[:15].replace(b"\0", b"x") or b"x"), FACTS, FACTS)
@example(b"fifteen-letters", b"/fifteen-letters: x\0", b"")
def test_any_process(comm: bytes, arguments: bytes | None, executable: bytes | None) -> None:
    """Whatever it says of itself, a process has a safe name, the same each time."""
    name, certain = program_name(comm, lambda: arguments, lambda: executable)
    assert 1 <= len(name) <= 64
    assert name.isprintable()
    assert (name, certain) == program_name(comm, lambda: arguments, lambda: executable)
    if arguments is not None and executable is not None:
        assert certain
    told = name_by_comm(comm)
    assert told is None or told == (name, True) == (safe_name(comm), True)


@given(st.binary(min_size=1, max_size=20))
@example(b"tool (deleted)")
@example(b"memfd:tool")
@example(b".nfs0000")
def test_executable_by_each_source(file: bytes) -> None:
    """/proc/PID/exe, which has the folder and what became of the file, and the iterator agree."""
    name = file.replace(b"/", b"x").replace(b"\0", b"x")
    told = executable_name(name)
    assert executable_name(b"/usr/bin/" + name) == told
    assert executable_name(b"/usr/bin/" + name + b" (deleted)") == told
    assert executable_name(b"/memfd:" + name + b" (deleted)") == executable_name(b"memfd:" + name)


class Reader:
    """A field's reader, which can be told to be gone."""

    def __call__(self) -> bytes:
        """Return a command line."""
        return b"fifteen-bytes-xyz\0"


def test_nothing_is_kept() -> None:
    """What a name is made of is gone with it: a call never looks for cycles (gc.disable)."""
    reader = Reader()
    kept = weakref.ref(reader)
    gc.disable()
    try:
        assert program_name(b"fifteen-bytes-x", reader, lambda: b"x").name == "fifteen-bytes-xyz"
        del reader
        assert kept() is None
    finally:
        gc.enable()
