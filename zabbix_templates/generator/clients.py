"""Clients of listeners: metrics and the alarm on one that has most of the connections.

Documents have them by option only, and templates by choice of the listeners: elsewhere there is no
item, and nothing is stored.
"""

from . import macros as m
from .conditions import known, over
from .model import Condition, Macro, Metric, Override, Severity, Trigger

METRICS = (
    Metric(
        "clients.distinct",
        "clients.distinct",
        "Clients",
        "Distinct remote addresses of its connections; an estimate where there are very many.",
        default=False,
    ),
    Metric(
        "clients.top_connections",
        "clients.top_connections",
        "Clients, most connections of one",
        "Connections of the client that has most of them.",
        default=False,
    ),
    Metric(
        "clients.top_pct",
        "clients.top_pct",
        "Clients, greatest share of one",
        "Of its connections, those of the client that has most of them.",
        default=False,
    ),
    Metric(
        "clients.top_address",
        "clients.top_address",
        "Clients, the one with most connections",
        "Its address. Behind a proxy or a balancer it is that one's.",
        default=False,
    ),
)

_NAME = "One client has most of the connections"
_SHARE, _NUMBER = "clients.top_pct", "clients.top_connections"

ONE_HAS_MOST = Trigger(
    id="client_share",
    name=_NAME,
    event_name=f"<?clients.top_address> has <{_NUMBER}> connections, <{_SHARE}> of all"
    f" (over {m.CLIENTS_PCT}%, and {m.CLIENTS_MIN}, for {m.CLIENTS_TIME})",
    now=f"<{_NUMBER}> connections, <{_SHARE}> of all",
    severity=Severity.WARNING,
    expression=f"{over(_SHARE, m.CLIENTS_PCT, m.CLIENTS_TIME)}"
    f" and {over(_NUMBER, m.CLIENTS_MIN, m.CLIENTS_TIME)} and {m.CLIENTS_CONTROL}=1",
    recovery=f"(max(<{_SHARE}>,{m.CLIENTS_TIME})<=0.8*{m.CLIENTS_PCT}"
    f" or max(<{_NUMBER}>,{m.CLIENTS_TIME})<=0.8*{m.CLIENTS_MIN})"
    f" and {known(_SHARE, m.CLIENTS_TIME)} or {m.CLIENTS_CONTROL}=0",
    description="A single address holds most of what the listener has to give: a client that leaks"
    " its connections or opens one for each request, a crawler, an attack. Or a proxy that all come"
    " through: then give the listener a threshold of its own. Look first at who it is and what its"
    " connections do (`zabbix-sockets show clients` has all; `:{#PORT}` behind it asks for this"
    " listener's alone, `--interval 2` for bytes per second), then at what that client runs.",
    scope="performance",
    default=False,
)


def of(macro: Macro) -> Override:
    """Return the override for the listeners whose clients are kept: their ids match *macro*."""
    return Override(
        "Clients",
        (Condition("{#ID}", str(macro)), Condition("{#PROTOCOL}", "^tcp$")),
        discover=True,
        items=": Clients(|, .+)$",
        triggers=f": {_NAME}$",
    )
