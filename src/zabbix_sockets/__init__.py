"""Which process holds which TCP, UDP and unix sockets, for Zabbix.

The public interface, as the command itself uses it::

    from zabbix_sockets import Limits, Query, build_document, collect, iter_sockets, to_json

    document = build_document(collect(Query(timeout=2.5)), Limits())
    established = [row.tcp["established"] for row in document.processes]
    data = to_json(document)  # bytes: JSON in UTF-8

Names are imported when they are first used: a call of the agent pays only for what
its verb needs. For the same reason the code uses `_socket` and `_signal`, the C modules
beneath `socket` and `signal` with the same functions: the enums that these make of their
constants take 2 ms each. And what a call imports takes the types of `collections.abc` from
`_collections_abc`, which is there from the start: `collections` takes more than 1 ms.
"""

TYPE_CHECKING = False  # typing's own takes 2 ms
if TYPE_CHECKING:
    from zabbix_sockets.collector.collect import collect
    from zabbix_sockets.collector.single import iter_sockets
    from zabbix_sockets.document.document import Limits, build_document
    from zabbix_sockets.document.json_text import to_json
    from zabbix_sockets.model.errors import SocketsError
    from zabbix_sockets.model.names import safe_name
    from zabbix_sockets.model.snapshot import Query, Snapshot
    from zabbix_sockets.model.socket import Socket
    from zabbix_sockets.version import __version__

__all__ = [
    "Limits",
    "Query",
    "Snapshot",
    "Socket",
    "SocketsError",
    "__version__",
    "build_document",
    "collect",
    "iter_sockets",
    "safe_name",
    "to_json",
]

_HOMES = {
    "Limits": "document.document",
    "Query": "model.snapshot",
    "Snapshot": "model.snapshot",
    "Socket": "model.socket",
    "SocketsError": "model.errors",
    "build_document": "document.document",
    "collect": "collector.collect",
    "iter_sockets": "collector.single",
    "safe_name": "model.names",
    "to_json": "document.json_text",
    "__version__": "version",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  # the command itself uses no public name

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
