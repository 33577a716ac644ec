"""The other ways of a document from an agent to the server: active, and through a proxy."""

from collections.abc import Callable, Iterator

import pytest

from .agents import Active, Agent, Agents, Kind, Way
from .processes import Holder
from .proxies import Proxy
from .servers import Server
from .watched import Watched, watch

pytestmark = [
    pytest.mark.zabbix,
    pytest.mark.short_form("6.0-active, proxy", "7.0-active agent2"),
]


def active(server: Server, agents: Agents, program: str) -> Watched:
    """An agent that asks the server what to send."""
    watched = watch(server, "agent_active")
    to = Active(f"127.0.0.1:{server.port}", watched.host.name)
    agents.get(Kind(program, server.version), Way.PINNED, to)
    return watched


def through_proxy(proxy: Proxy, agent: Agent) -> Watched:
    """An agent that a proxy asks."""
    return watch(proxy.server, "agent", agent=agent.port, proxy=proxy)


def active_through_proxy(proxy: Proxy, agents: Agents) -> Watched:
    """An agent that asks a proxy what to send."""
    watched = watch(proxy.server, "agent_active", proxy=proxy)
    to = Active(f"127.0.0.1:{proxy.port}", watched.host.name)
    agents.get(Kind("zabbix_agentd", proxy.server.version), Way.PINNED, to)
    return watched


WAYS: dict[str, Callable[[Server, Proxy, Agents, Agent], Watched]] = {
    "active": lambda server, _proxy, agents, _agent: active(server, agents, "zabbix_agentd"),
    "active agent2": lambda server, _proxy, agents, _agent: active(server, agents, "zabbix_agent2"),
    "proxy": lambda _server, proxy, _agents, agent: through_proxy(proxy, agent),
    "active, proxy": lambda _server, proxy, agents, _agent: active_through_proxy(proxy, agents),
}


@pytest.fixture(params=WAYS)
def watched(
    request: pytest.FixtureRequest, server: Server, proxy: Proxy, agents: Agents, local: Agent
) -> Iterator[Watched]:
    """A host for each way, one at a time: each makes as much work as a second allows."""
    watched = WAYS[request.param](server, proxy, agents, local)
    yield watched
    agents.stop_active()
    server.disable_host(watched.host)


def test_documents_come(watched: Watched, others: Holder) -> None:
    """Rows are discovered, items have what the documents say, and nothing is unsupported."""
    watched.wait_for_rows({f'sockets.process.sockets["{others.name}"]'})
    watched.wait_for_values({f'sockets.process.sockets["{others.name}"]': "10"})
    watched.wait_for_truth()
    watched.wait_for_no_faults()
