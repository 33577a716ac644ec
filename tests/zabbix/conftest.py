"""Real Zabbix agents and servers, each started once for all tests that ask it."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from admitted import forget_who_was_admitted

from zabbix_sockets.readers.bpf.pins import unload

from . import programs, proxies
from .agents import CACHE, TESTED, Agent, Agents, Kind, Way
from .browser import Browser
from .browser import running as browsing
from .processes import HOSTILE, Holder, free_ports, hold
from .provisioning import Target, imported
from .proxies import Proxy
from .servers import SERVER_VERSIONS, Server, Servers
from .stage import Stage, UnavailableError, require, set_up


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The product, as docs/install.md installs it by pip, in a place that only the agents see."""
    # Not pytest's own directory, which nobody but root may enter.
    root = Path(tempfile.mkdtemp(prefix="zabbix-sockets-"))
    try:
        root.chmod(0o755)
        yield set_up(root)
    except UnavailableError as exc:
        pytest.skip(str(exc))
    finally:
        unload(str(root / "pins"))
        shutil.rmtree(root)


@pytest.fixture(scope="session")
def agents(stage: Stage) -> Iterator[Agents]:
    """All agents that the session has started so far."""
    agents = Agents(stage)
    yield agents
    agents.stop()


@pytest.fixture(params=TESTED, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each program and each version; with all rounds each program in each version."""
    assert isinstance(request.param, Kind)
    return request.param


def _get(agents: Agents, kind: Kind, way: Way) -> Agent:
    try:
        return agents.get(kind, way)
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.fixture
def agent(agents: Agents, kind: Kind) -> Agent:
    """An agent as packages run it: user zabbix, no capability."""
    return _get(agents, kind, Way.UNPRIVILEGED)


@pytest.fixture
def capable_agent(agents: Agents, kind: Kind) -> Agent:
    """An agent whose own unit gives it CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH."""
    return _get(agents, kind, Way.CAPABLE)


@pytest.fixture
def pinned_agent(agents: Agents, kind: Kind) -> Agent:
    """An agent as packages run it, on a host where the BPF iterators are loaded."""
    return _get(agents, kind, Way.PINNED)


@pytest.fixture(scope="session")
def sudo_stage(stage: Stage) -> Stage:
    """The stage, on a machine that has sudo."""
    try:
        require(["sudo", "--version"])
    except UnavailableError as exc:
        pytest.skip(str(exc))
    return stage


@pytest.fixture
def sudo_agent(agents: Agents, kind: Kind) -> Agent:
    """An agent with the sudo variant of the keys, and the rule it needs."""
    return _get(agents, kind, Way.SUDO)


@pytest.fixture(scope="session")
def own(stage: Stage) -> Iterator[Holder]:
    """A process of user zabbix, whose sockets the agent may see without privilege."""
    with hold(stage, "zs own, 1:2") as holder:
        yield holder


@pytest.fixture(scope="session")
def others(stage: Stage) -> Iterator[Holder]:
    """A process of root, closed to an agent without privilege."""
    with hold(stage, "zs-of-root", as_root=True) as holder:
        yield holder


@pytest.fixture(scope="module", autouse=True)
def _forget_who_was_admitted() -> None:
    """Let each module begin as a host of its own would; its tests share what they discover."""
    forget_who_was_admitted()


@pytest.fixture(scope="module")
def hostile(stage: Stage) -> Iterator[Mapping[str, Holder]]:
    """Processes with hostile names, by their ids, on ports that discovery doesn't leave out.

    They are root's, as discovery admits but a part of a user's at first; an agent without
    privilege couldn't say how many of such names there are.
    """
    with ExitStack() as stack:
        yield {
            row: stack.enter_context(hold(stage, name, as_root=True, ports=free_ports(3)))
            for name, row in HOSTILE.items()
        }


@pytest.fixture(scope="session")
def lab() -> Iterator[Path]:
    """Where servers and all that belongs to them have their files."""
    try:
        with programs.directory() as root:
            yield root
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def servers(lab: Path, request: pytest.FixtureRequest) -> Iterator[Servers]:
    """All servers that the session has started so far."""
    servers = Servers(lab)
    yield servers
    servers.stop()
    if request.session.testsfailed:
        programs.keep_logs(lab, CACHE / "logs")


@pytest.fixture(scope="session", params=SERVER_VERSIONS)
def server(request: pytest.FixtureRequest, servers: Servers) -> Server:
    """The server of each version, which all tests share: each makes hosts of its own."""
    try:
        return servers.get(request.param)
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def proxy(server: Server, lab: Path) -> Iterator[Proxy]:
    """A proxy of the server."""
    try:
        with proxies.running(server, lab) as proxy:
            yield proxy
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def browser(lab: Path) -> Iterator[Browser]:
    """A browser for every server's frontend."""
    try:
        with browsing(lab / "home") as browser:
            yield browser
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def local(agents: Agents, server: Server) -> Agent:
    """An agent of the server's version, on a host where the BPF iterators are loaded."""
    return _get(agents, Kind("zabbix_agentd", server.version), Way.PINNED)


@pytest.fixture(scope="module", params=SERVER_VERSIONS)
def target(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Target]:
    """A server that no other module changes, with all templates imported."""
    try:
        with imported(servers, request.param) as target:
            yield target
    except UnavailableError as exc:
        pytest.skip(str(exc))
