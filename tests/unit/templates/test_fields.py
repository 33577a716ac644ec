"""How items store fields follows from what the document says of these."""

import pytest

from zabbix_sockets.document.document import ROWS, Document
from zabbix_sockets.document.head import Collector
from zabbix_sockets.document.processes import ProcessRow
from zabbix_sockets.document.record import Record, fields_of
from zabbix_templates.generator.fields import described
from zabbix_templates.generator.model import Kind, Metric
from zabbix_templates.generator.templates import TEMPLATES


def made(record: type[Record], path: str) -> Metric:
    """Return the metric of a field."""
    (metric,) = described(record, [Metric("key", path, "Name", "Meaning.")])
    return metric


@pytest.mark.parametrize(
    ("record", "path", "units", "kind", "multiplier"),
    [
        (ProcessRow, "sockets", "", Kind.UNSIGNED, ""),
        (ProcessRow, "tcp.close_wait", "", Kind.UNSIGNED, ""),
        (ProcessRow, "recv_queue_bytes", "B", Kind.UNSIGNED, ""),
        (ProcessRow, "fds_max_pct", "%", Kind.FLOAT, ""),
        (ProcessRow, "rtt_us.p50", "s", Kind.FLOAT, "0.000001"),
        (ProcessRow, "receiver_limited_ms", "s", Kind.FLOAT, "0.001"),
        (Collector, "seconds", "s", Kind.FLOAT, ""),
        (Collector, "source", "", Kind.CHAR, ""),
        (Document, "other.listeners.established", "", Kind.UNSIGNED, ""),
    ],
)
def test_stored(record: type[Record], path: str, units: str, kind: Kind, multiplier: str) -> None:
    """A unit of the document's becomes one of Zabbix's, and what has a fraction a float."""
    metric = made(record, path)
    assert (metric.units, metric.kind, metric.multiplier) == (units, kind, multiplier)
    assert (metric.rate, metric.yes_no) == (False, False)


def test_counters_and_answers() -> None:
    """A counter is kept as a rate; yes and no are said so."""
    counter = made(Document, "host.listen_drops")
    assert (counter.rate, counter.kind) == (True, Kind.FLOAT)
    assert made(Document, "collector.degraded").yes_no
    assert made(Document, "lists.processes").yes_no


@pytest.mark.parametrize("path", ["other.processes.fds_max_pct", "other.listeners.port"])
def test_what_has_no_sum(path: str) -> None:
    """An item of a sum that there is none of is a mistake."""
    with pytest.raises(ValueError, match="can't be summed"):
        made(Document, path)


@pytest.mark.parametrize("path", ["sockets", "host.tcp.other", "other.processes.other"])
def test_what_is_no_field(path: str) -> None:
    """So is an item of a field that the document has not."""
    with pytest.raises(KeyError):
        made(Document, path)


def test_every_field_of_a_row_is_kept() -> None:
    """Each figure of a row's description has an item: who adds a field says its item's words."""
    for rule in TEMPLATES[0].rules:
        paths = {each.path.partition(".")[0] for each in rule.metrics if not each.formula}
        figures = {name for name, each in fields_of(ROWS[rule.kind]).items() if not each.macro}
        assert figures - {"device", "container", "socket_unit", "unit"} == paths
