"""The three templates: one for each way in which the document comes to the server."""

from . import alarms, host, host_graphs, listeners, macros, processes, upstreams
from .model import Macro, Template, Way

_OVERVIEW = (
    "Which process holds how many TCP and UDP sockets in which state, which ports are listened on"
    " and how full their accept queues are, and to whom processes connect. {way} Everything"
    " else is taken from that one document by dependent items."
    " What can't be known is never stored as 0: a row that is missing from a list that is not"
    " complete (truncated, denied, timed out) keeps its last value."
)

_AGENT_SETUP = """\
Install the package of zabbix-sockets on the host, then, as root:

    zabbix-sockets setup --restart

It gives the agent its keys, and loads the BPF iterators, so that the agent sees all owners without
any privilege (docs/install.md). Check it from the server:

    zabbix_get -s HOST -k sockets.get

Then link the template to the host, or let `zabbix-sockets provision` do both. The agent's
timeout has to be 3 s (the default) or more."""

WAYS = (
    Way(
        directory="sockets_by_zabbix_agent",
        name="Sockets by Zabbix agent",
        item_type="ZABBIX_PASSIVE",
        master_key=f"sockets.get[{macros.GROUP_BY}]",
        polled=True,
        overview=_OVERVIEW.format(way="The server asks the agent for the document."),
        setup=_AGENT_SETUP,
    ),
    Way(
        directory="sockets_by_zabbix_agent_active",
        name="Sockets by Zabbix agent active",
        item_type="ZABBIX_ACTIVE",
        master_key=f"sockets.get[{macros.GROUP_BY}]",
        polled=True,
        overview=_OVERVIEW.format(way="The agent sends the document by itself."),
        setup=_AGENT_SETUP
        + """

The agent needs `ServerActive=` and a `Hostname=` that is the host's name in Zabbix.""",
    ),
    Way(
        directory="sockets_by_zabbix_trapper",
        name="Sockets by Zabbix trapper",
        item_type="TRAP",
        master_key="sockets.get",
        polled=False,
        overview=_OVERVIEW.format(way="The host pushes the document with zabbix_sender."),
        setup="""\
Install the package of zabbix-sockets (docs/install.md) and zabbix_sender on the host; then, as
root:

    zabbix-sockets setup --push --no-keys

It starts a service that pushes every minute; `zabbix-sockets send` pushes once (docs/send.md). Then
link the template to the host, or let `zabbix-sockets provision` do it.""",
    ),
)


def _used(way: Way, macro: Macro) -> bool:
    """Whether the template of that way has a use for the macro."""
    return way.polled or macro not in (macros.GROUP_BY, macros.INTERVAL, macros.TIMEOUT)


TEMPLATES = tuple(
    Template(
        way=way,
        metrics=host.METRICS,
        triggers=alarms.triggers(way),
        graphs=host_graphs.GRAPHS,
        rules=(processes.RULE, listeners.RULE, upstreams.RULE),
        macros=tuple(
            sorted((each for each in macros.ALL if _used(way, each)), key=lambda each: each.name)
        ),
    )
    for way in WAYS
)
