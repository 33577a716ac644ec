"""A service whose sockets are known, beside whatever else there is on the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import zoo
from asked import Answer, rows
from children import Child

NAME = "witness"
PORT = 7980
_ROW = {"instances": 1, "sockets": 7, "listen": 2, "established": 4, "inbound": 2, "bound": 1}


def _serve() -> object:
    """Hold two listeners, two connections by both ends, and a UDP socket."""
    servers = [zoo.listener(port=PORT), zoo.listener(port=PORT + 1)]
    return [zoo.pair(each) for each in servers], zoo.udp_bound(port=PORT)


@contextmanager
def serving() -> Iterator[None]:
    """Have the witness, a service of the system."""
    with Child(_serve, NAME.encode()):
        yield


def is_right_in(answer: Answer) -> bool:
    """Whether an answer has the witness, which must be right then.

    It may be lacking only where the answer has no figures, or says that the time was over.
    """
    if answer.kind not in ("whole", "marked"):
        return False
    document = answer.document
    row = rows(document, "processes").get(NAME)
    late = any(each.startswith("timed out") for each in document["collector"]["warnings"])
    if row is None or late:
        assert late, document["collector"]
        return False
    found = {**row, **row["tcp"], **row["udp"]}
    assert {name: found[name] for name in _ROW} == _ROW
    listeners = rows(document, "listeners")
    for port in (PORT, PORT + 1):
        listener = listeners[f"tcp/127.0.0.1:{port}"]
        assert (listener["process"], listener["established"]) == (NAME, 1)
    return True
