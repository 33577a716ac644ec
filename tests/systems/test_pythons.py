"""Every verb under each Python of Debian's releases: it answers as under this one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rounds
import zoo

import zabbix_sockets
from zabbix_sockets.model.snapshot import LISTS
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.bpf.pins import load, unload

from ..zabbix.recorder import recording  # noqa: TID252  # a test folder is no package
from . import trees
from .pythons import Answer, Python, own_python, python_of

PATIENT = ("--timeout", "60")
PINS = "pins"
RULES = """
filter = "not dport = :1"

[[group]]
name = 'ruled'
command = 'pytest'
"""

_ATTEMPTS = 3
"""A row of what is gone ends ten minutes after it has changed, which may be between two calls."""

Objects = dict[str, Any]


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    """A folder that all trees share: with pinned iterators, and a configuration file."""
    if os.geteuid():
        pytest.skip("only root enters a tree")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "rules.toml").write_text(RULES, "utf-8")
        (folder / PINS).mkdir()
        if not records.why_kernel_cannot():
            load(str(folder / PINS), group="nogroup")
        try:
            yield folder
        finally:
            if not records.why_kernel_cannot():
                unload(str(folder / PINS))


RELEASES = trees.RELEASES[:1] if rounds.IS_SHORT else trees.RELEASES
"""The oldest; with all rounds each."""


@pytest.fixture(scope="module", params=RELEASES)
def python(request: pytest.FixtureRequest, shared: Path) -> Iterator[Python]:
    """The Python of a release."""
    try:
        with python_of(request.param, shared) as found:
            yield found
    except trees.UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def own(shared: Path) -> Python:
    """This Python."""
    return own_python(shared)


@pytest.fixture(scope="module", autouse=True)
def sockets() -> Iterator[None]:
    """Sockets that stay as they are."""
    for address in ("127.0.0.1", "::1", "0.0.0.0"):
        server = zoo.listener(address)
        zoo.pair(server, "127.0.0.1" if address == "0.0.0.0" else address)
        zoo.unaccepted(2)
        zoo.udp_bound(address)
    yield
    zoo.release()


def answer_of(answer: Answer) -> bytes:
    """Return what a command printed; it has succeeded."""
    assert answer.returncode == 0, (answer.stdout[-500:], answer.stderr.decode())
    assert b"Traceback" not in answer.stderr
    return answer.stdout


def document_of(python: Python, *arguments: str, user: str = "root") -> Objects:
    """Return the document of `get`."""
    found: Objects = json.loads(answer_of(python.call("get", *arguments, *PATIENT, user=user)))
    return found


def shape(value: object) -> object:
    """Return the fields and types of a document, without its figures."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted({str(shape(each)) for each in value})
    return type(value).__name__


def ids_of(document: Objects) -> dict[str, set[str]]:
    """Return the ids of the rows of each list."""
    return {kind: {row["id"] for row in document[kind]} for kind in LISTS}


def test_byte_code(python: Python) -> None:
    """Each module compiles, and there is nothing to warn of."""
    code = "import os, zabbix_sockets; print(os.path.dirname(zabbix_sockets.__file__))"
    folder = answer_of(python.execute(python.interpreter, "-I", "-c", code)).decode().strip()
    answer = python.execute(
        python.interpreter, "-W", "error", "-m", "compileall", "-q", "-f", folder
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, b"", b"")


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("source", ["bpf", "sock_diag", "procfs"])
@pytest.mark.parametrize("grouping", ["process", "user"])
def test_document(python: Python, own: Python, source: str, user: str, grouping: str) -> None:
    """It has the same fields, and the same rows, by every source and for every user."""
    arguments = (grouping, "--source", source)
    for _ in range(_ATTEMPTS):
        theirs, ours = (
            document_of(each, *arguments, "--pins", f"{each.shared}/{PINS}", user=user)
            for each in (python, own)
        )
        if ids_of(theirs) == ids_of(ours):
            break
    assert theirs["collector"]["source"] == source
    assert ids_of(theirs) == ids_of(ours)
    assert shape(theirs) == shape(ours)
    for each in (theirs, ours):
        del each["host"]["tcp"]["time_wait"]  # those of test_send end by and by
    assert theirs["host"]["tcp"] == ours["host"]["tcp"]


def test_iterators_of_the_call(python: Python) -> None:
    """Without pins root loads the iterators for the call, where the tree's libbpf can."""
    arguments = ("--source", "bpf", "--pins", f"{python.shared}/none", *PATIENT)
    answer = python.call("get", *arguments)
    if has_old_libbpf(python):
        assert b"this libbpf is too old for the kernel" in answer.stdout
        return
    found = json.loads(answer_of(answer))
    assert (found["collector"]["source"], found["complete"]) == ("bpf", 1)


def has_old_libbpf(python: Python) -> bool:
    """Whether libbpf is older than 1.0, which reads no BTF of today's kernels."""
    libraries = answer_of(python.execute("sh", "-c", "ls /usr/lib/*/libbpf.so.*"))
    return b"libbpf.so.1\n" not in libraries


@pytest.mark.parametrize("grouping", ["unit", "container"])
def test_groupings_by_cgroup(python: Python, own: Python, grouping: str) -> None:
    """Units and containers are found without privilege, too."""
    theirs, ours = (document_of(each, grouping, user="nobody") for each in (python, own))
    assert shape(theirs["collector"]) == shape(ours["collector"])


def test_rules(python: Python) -> None:
    """A configuration file is read: by tomli where Python has no tomllib."""
    found = document_of(python, "--config", f"{python.shared}/rules.toml", "--source", "procfs")
    assert "ruled" in {row["id"] for row in found["processes"]}
    assert found["collector"]["filter"] == "not dport = :1"


@pytest.mark.parametrize("kind", ["processes", "listeners", "upstreams"])
def test_lists(python: Python, own: Python, kind: str) -> None:
    """Discovery, and what people are shown."""
    theirs, ours = (
        json.loads(answer_of(each.call("discover", kind, *PATIENT))) for each in (python, own)
    )
    assert theirs == ours
    shown, owns = (answer_of(each.call("show", kind, *PATIENT)) for each in (python, own))
    assert shown.splitlines()[0].split() == owns.splitlines()[0].split()
    assert len(shown.splitlines()) == len(owns.splitlines())


def test_count(python: Python, own: Python) -> None:
    """One number, with names as item keys spell them."""
    keys = answer_of(own.call("show", "processes", "--keys", *PATIENT)).decode().split()
    assert answer_of(python.call("show", "processes", "--keys", *PATIENT)).decode().split() == keys
    name = keys[0].partition("[")[2].rstrip("]")
    theirs, ours = (
        answer_of(each.call("count", name, "tcp", "listen", *PATIENT)) for each in (python, own)
    )
    assert theirs == ours
    assert int(theirs) > 0


@pytest.mark.parametrize(
    "expression",
    ["state listening and not src 10.0.0.0/8", "(sport >= :1 or dport = :80) and user root"],
    ids=["kernel", "evaluator"],
)
def test_single_sockets(python: Python, own: Python, expression: str) -> None:
    """Each socket with its tcp_info, as the kernel and as Python choose them."""
    arguments = ("show", "sockets", "--tcp-info", "--state", "all", "--json", *PATIENT)
    theirs, ours = (
        json.loads(answer_of(each.call(*arguments, "--filter", expression)))
        for each in (python, own)
    )
    assert ends_of(theirs) == ends_of(ours)
    assert shape(theirs) == shape(ours)
    assert theirs


def ends_of(rows: list[Objects]) -> set[tuple[str, ...]]:
    """Return the places of both ends of single sockets."""
    places = ("local_address", "local_port", "remote_address", "remote_port")
    return {tuple(str(row.get(name)) for name in places) for row in rows}


def test_monitor(python: Python) -> None:
    """Snapshots again and again, a line for each."""
    for kind in ("sockets", "processes"):
        again = ("--interval", "0.1", "--count", "3", "--json", *PATIENT)
        answer = answer_of(python.call("show", kind, *again))
        lines = [json.loads(line) for line in answer.splitlines()]
        assert [line.get("error") for line in lines] == [None] * 3
        assert all(kind in line for line in lines)


@pytest.mark.parametrize("values", [(), ("--values",)], ids=["document", "values"])
def test_send(python: Python, tmp_path: Path, values: tuple[str, ...]) -> None:
    """A server takes what zabbix_sender sends; what can't be sent waits in the spool."""
    spool = f"{python.shared}/{tmp_path.name}.sqlite"
    to_nobody = ("send", "--host", "web1", "--spool", spool, *values, *PATIENT)
    answer = python.call(*to_nobody, "--server", "127.0.0.1:1")
    assert answer.returncode == 1
    assert b"waiting" in answer.stderr
    with recording() as server:
        answer_of(python.call(*to_nobody, "--server", server.address))
    assert {each["host"] for each in server.taken} == {"web1"}
    if not values:
        (document,) = [json.loads(each["value"]) for each in server.taken]
        assert document["version"]


def test_pins(python: Python) -> None:
    """The iterators are pinned and taken away again, where the tree's libbpf can."""
    pins = f"{python.shared}/own-pins"
    script = (
        f"mkdir -p {pins} && mount -t bpf -o mode=0755 bpf {pins}"
        f" && {python.interpreter} -I -m zabbix_sockets load --pins {pins} --group nogroup"
        f" && {python.interpreter} -I -m zabbix_sockets get --source bpf --pins {pins}"
        f" && {python.interpreter} -I -m zabbix_sockets unload --pins {pins}"
    )
    answer = python.execute("sh", "-c", script)
    if has_old_libbpf(python):
        assert b"this libbpf is too old for the kernel" in answer.stderr
        return
    lines = answer_of(answer).splitlines()
    assert any(b'"source":"bpf"' in line for line in lines)


def test_installed_files(python: Python) -> None:
    """`files` prints where they are, and --version which they are."""
    folder = answer_of(python.call("files")).decode().strip()
    assert answer_of(python.execute("ls", f"{folder}/conf"))
    version = answer_of(python.call("--version")).decode().split()
    assert version == ["zabbix-sockets", zabbix_sockets.__version__]


@pytest.mark.parametrize(
    "verb", ["get", "discover", "count", "send", "show", "load", "unload", "files", "provision"]
)
def test_help(python: Python, own: Python, verb: str) -> None:
    """The same options, of every verb."""
    theirs, ours = (answer_of(each.call(verb, "--help")).decode() for each in (python, own))
    assert options_in(theirs) == options_in(ours)
    assert options_in(theirs)


def options_in(text: str) -> set[str]:
    """Return the words that begin with dashes."""
    return {word.strip("[],") for word in text.split() if word.startswith(("-", "[-"))}


def test_errors(python: Python) -> None:
    """A wrong argument is a message, and a fault has a traceback with --debug only."""
    answer = python.call("get", "--source", "bogus")
    assert answer.returncode == 2
    assert b"--source" in answer.stdout + answer.stderr
    assert b"Traceback" not in answer.stderr
