"""Low-level discovery: the document's rows as objects of LLD macros."""

from zabbix_sockets.document.row import ABSENT_ID, JsonRow

MACROS = {
    "processes": {"{#ID}": "id", "{#PROCESS}": "name", "{#SETTLED}": "settled"},
    "listeners": {
        "{#ID}": "id",
        "{#PROTOCOL}": "protocol",
        "{#ADDRESS}": "address",
        "{#PORT}": "port",
        "{#NETNS}": "netns",
        "{#EPHEMERAL}": "ephemeral",
        "{#PROCESS}": "process",
    },
    "upstreams": {
        "{#ID}": "id",
        "{#PROCESS}": "process",
        "{#PROTOCOL}": "protocol",
        "{#ADDRESS}": "address",
        "{#PORT}": "port",
        "{#NETNS}": "netns",
    },
}


def discovery(document: JsonRow, kind: str) -> list[JsonRow]:
    """Return the LLD rows of a list of the document, sorted by id: labels only."""
    rows = document[kind]
    assert isinstance(rows, list)
    macros = MACROS[kind]
    return [
        {macro: row[name] for macro, name in macros.items()}
        for row in rows
        if row["id"] != ABSENT_ID
    ]
