"""Copies of a host, with all that was discovered on it, made within a server's database.

The API takes minutes for a hundred hosts of a thousand items, and a server as long to discover
them. It must not run meanwhile: it is told nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.zabbix.database import Database

STRIDE = 10**6
"""By so much the ids of each copy are higher than those of the one before."""

_OF_HOST = "hostid = {hostid}"
_OF_ITEMS = "itemid IN (SELECT itemid FROM items WHERE hostid = {hostid})"
_OF_TRIGGERS = (
    "triggerid IN (SELECT triggerid FROM functions JOIN items USING (itemid)"
    " WHERE hostid = {hostid})"
)
_OF_OVERRIDES = f"lld_overrideid IN (SELECT lld_overrideid FROM lld_override WHERE {_OF_ITEMS})"
_OF_OPERATIONS = (
    "lld_override_operationid IN"
    f" (SELECT lld_override_operationid FROM lld_override_operation WHERE {_OF_OVERRIDES})"
)
_TABLES = {
    **dict.fromkeys(("hosts", "host_rtdata", "interface", "hosts_groups"), _OF_HOST),
    **dict.fromkeys(("hosts_templates", "hostmacro", "items"), _OF_HOST),
    **dict.fromkeys(("item_rtdata", "item_rtname", "item_discovery", "item_preproc"), _OF_ITEMS),
    **dict.fromkeys(("item_tag", "item_parameter", "item_condition"), _OF_ITEMS),
    **dict.fromkeys(("lld_macro_path", "lld_override", "functions"), _OF_ITEMS),
    **dict.fromkeys(("lld_override_condition", "lld_override_operation"), _OF_OVERRIDES),
    **dict.fromkeys(("lld_override_opdiscover", "lld_override_opstatus"), _OF_OPERATIONS),
    **dict.fromkeys(("triggers", "trigger_tag", "trigger_discovery"), _OF_TRIGGERS),
    "trigger_depends": _OF_TRIGGERS.replace("triggerid IN", "triggerid_down IN"),
}
"""The tables with rows of a host, and which rows these are. Graphs are the frontend's alone."""

_OWN = {
    *("hostid", "interfaceid", "itemid", "master_itemid", "parent_itemid", "lld_overrideid"),
    *("functionid", "triggerid", "parent_triggerid", "triggerid_down", "triggerid_up"),
    "lld_override_operationid",
}
"""Columns with ids of what the host itself has; other ids are the template's, or of groups."""


def begin_ids(database: Database) -> None:
    """Let the ids of functions begin so high that those of a host have all as many digits.

    It takes a database that has none yet.
    """
    database.sql("INSERT INTO ids VALUES ('functions', 'functionid', 10000)")


def copy_host(database: Database, hostid: str, copies: int) -> None:
    """Make hosts `fleet 1`, `fleet 2` and so on, which are all that the host is.

    Raises:
        AssertionError: its ids are too high, or those of functions have not all as many digits.
    """
    (row,) = database.sql(
        "SELECT min(functionid) AS least, max(functionid) AS most FROM functions"
        f" WHERE {_OF_ITEMS.format(hostid=hostid)}"
    )
    digits = len(row["most"])
    assert len(row["least"]) == digits
    assert int(row["most"]) < STRIDE
    statements = [
        "SET session_replication_role = replica",  # no triggers that keep a log for a server
        *(
            _statement(database, table, rows, hostid, copies, digits)
            for table, rows in _TABLES.items()
        ),
        "ANALYZE",
    ]
    database.sql("; ".join(filter(None, statements)))


def _statement(
    database: Database, table: str, rows: str, hostid: str, copies: int, digits: int
) -> str:
    """Return the SQL that copies a table's rows of the host; nothing if there is no such table."""
    columns = [
        each["column_name"]
        for each in database.sql(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public'"
            f" AND table_name = '{table}' ORDER BY ordinal_position"
        )
    ]
    if not columns:
        return ""
    own = _OWN | {columns[0]}
    special = dict(_special(table, digits))
    values = [
        special.get(each) or (f"{each} + k * {STRIDE}" if each in own else each) for each in columns
    ]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"
        f" FROM {table}, generate_series(1, {copies}) AS k WHERE {rows.format(hostid=hostid)}"
    )


def _special(table: str, digits: int) -> Iterator[tuple[str, str]]:
    """Yield the columns whose value is made in another way, and how."""
    if table == "hosts":
        yield from {"host": "'fleet ' || k", "name": "'fleet ' || k"}.items()
        yield "name_upper", "'FLEET ' || k"
    if table == "triggers":  # a function in an expression is its id, in braces
        zeros = "0" * (len(str(STRIDE)) - 1 - digits)
        for column in ("expression", "recovery_expression"):
            of_copy = rf"'{{' || k || '{zeros}\1}}'"
            yield column, rf"regexp_replace({column}, '\{{(\d{{{digits}}})\}}', {of_copy}, 'g')"


def counts(database: Database) -> Mapping[str, int]:
    """Return how many copies there are, and their items and triggers, prototypes left out."""
    (row,) = database.sql(
        "SELECT count(DISTINCT hostid) AS hosts, count(DISTINCT itemid) AS items,"
        " count(DISTINCT triggerid) AS triggers FROM hosts JOIN items USING (hostid)"
        " LEFT JOIN functions USING (itemid) WHERE host LIKE 'fleet %' AND items.flags IN (0, 4)"
    )
    return {name: int(value) for name, value in row.items()}
