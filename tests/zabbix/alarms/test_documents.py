"""Documents made by hand are like those that a real machine has sent."""

import pytest

from zabbix_sockets.model.snapshot import LISTS

from ..documents import Row, document, listener, process, quality, upstream  # noqa: TID252
from .test_healthy import RECORDED, recorded

pytestmark = pytest.mark.zabbix

QUALITY = quality(measured=1, rtt=0.01)

MADE = document(
    0,
    {
        "processes": [process("p", **QUALITY)],
        "listeners": [listener("tcp/0.0.0.0:80", **QUALITY), listener("udp/[::1%lo]:53")],
        "upstreams": [
            upstream("p", "tcp/192.0.2.1:80", **QUALITY),
            upstream("p", "udp/192.0.2.1:53"),
        ],
    },
)


def shape(value: Row) -> frozenset[tuple[str, object]]:
    """Return the fields of an object, and what kind of values they have."""
    return frozenset((key, kind(each)) for key, each in value.items())


def kind(value: object) -> object:
    """Return what kind of value it is; any number is as good as another."""
    if isinstance(value, dict):
        return shape(value)
    return float if isinstance(value, int | float) else type(value)


def rows_like(row: Row) -> str:
    """Return what rows with other fields are told from each other by."""
    return "(absent)" if row["id"] == "(absent)" else str(row.get("protocol"))


@pytest.mark.parametrize("name", RECORDED)
def test_shape(name: str) -> None:
    """All fields are there, and of the same kind; a real row may lack what is not known of it."""
    for _, real in recorded(RECORDED[name]):
        assert set(real) == set(MADE)
        for part in set(real) - set(LISTS):
            assert kind(MADE[part]) == kind(real[part])
        for part in LISTS:
            made = {rows_like(row): shape(row) for row in MADE[part]}
            assert not [row for row in real[part] if shape(row) - made[rows_like(row)]]
