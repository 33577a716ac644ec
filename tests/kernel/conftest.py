"""A network namespace for every test, and what asks as an agent's user does."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import asked
import netns
import pytest
import witness
import zoo

from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.bpf.pins import load, unload

ASKED = 5
"""How often each question is asked."""
MOST_KB = 64 << 10
"""What a call by the iterators may take, whatever there is (tests/bench/bars.py)."""


@pytest.fixture(scope="session")
def pins() -> Iterator[str]:
    """Pin the BPF iterators in a bpffs of the tests' own."""
    if os.geteuid():
        pytest.skip("loading BPF programs needs root")
    reason = records.why_kernel_cannot()
    if reason:
        pytest.skip(reason)
    folder = tempfile.mkdtemp(prefix="zabbix-sockets-pins-")  # pytest's own is closed to others
    os.chmod(folder, 0o755)
    load(folder)
    yield folder
    unload(folder)
    os.rmdir(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter: each session of pytest that begins closes its own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    """Run each test in a namespace of its own, so that it sees its own sockets only."""
    if os.geteuid():
        pytest.skip("network namespaces need root")
    with netns.own_namespace():
        try:
            yield
        finally:
            zoo.release()


@pytest.fixture(scope="session")
def asker(pins: str) -> Iterator[asked.Asker]:
    """Return what asks as the agent's user does."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        with asked.asker(Path(name), pins) as found:
            yield found


@pytest.fixture
def service() -> Iterator[None]:
    """Have a service whose sockets are known: see witness."""
    with witness.serving():
        yield


@pytest.fixture
def answers(
    asker: asked.Asker,
    record_property: Callable[[str, object], None],
    request: pytest.FixtureRequest,
) -> Callable[..., asked.Answer]:
    """Return what asks some times, checks what must hold for all answers, and keeps figures.

    It returns the answer to one more question, with so much time that there is nothing it lacks for
    want of that, on however busy a machine. With a *source* that has no owners for the agent's user
    the service is not looked for.
    """

    def ask(source: str = "bpf", *question: str, most_kb: int = MOST_KB) -> asked.Answer:
        found = [asker.ask(source, *question) for _ in range(ASKED)]
        patient = asker.ask(source, *(question or ("get",)), "--timeout", "50")
        kinds = [each.kind for each in (*found, patient)]  # each has one of the forms
        record_property(asked.PROPERTY, asked.Figure(request.node.name, [*found, patient]))
        assert min(each.wall for each in found) < asked.TIMEOUT, kinds
        assert max(each.peak_kb for each in (*found, patient)) < most_kb
        if source == "bpf":
            for each in found:
                witness.is_right_in(each)
            assert witness.is_right_in(patient), kinds
        assert patient.kind in ("whole", "marked")
        assert not asker.left()
        return patient

    return ask


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what calls took beside something hostile."""
    reports: Iterable[object] = (each for each in terminalreporter.stats.get("passed", []))
    figures = [
        value
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == asked.PROPERTY
    ]
    if figures:
        terminalreporter.section("calls beside something hostile")
        for figure in figures:
            terminalreporter.write_line(str(figure))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if item.path.is_relative_to(os.path.dirname(__file__)):
            item.add_marker("kernel")
