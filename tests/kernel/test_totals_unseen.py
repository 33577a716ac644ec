"""What goes unseen, as where a softirq brings it that interrupted the programs."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import traffic_zoo
from counted import (
    WITHOUT_SOFTIRQS,
    Found,
    assert_comes_to,
    bounds,
    changed,
    crowded,
    look,
    read,
    read_all,
    risen,
    wanted,
)
from netns import inside, ip, named, path_of
from traffic_zoo import Expected
from zoo import wait_for

TCP_USER_TIMEOUT = 18
WITHOUT_ERRORS = {
    r"(if \(to == TCP_SYN_SENT\)\n)": r"if (to == TCP_CLOSE && sk->sk_err)\n\t\treturn 0;\n\t\1"
}
"""What makes the programs of those that see no CLOSE by an error: softirqs bring nearly all of
these."""


@pytest.fixture(scope="module")
def blind_to_errors(pins: str) -> Iterator[str]:
    """Have programs that see no CLOSE by an error."""
    del pins  # it skips where nothing can be loaded
    with changed(WITHOUT_ERRORS) as folder:
        yield folder


@pytest.mark.parametrize(
    "kind",
    [
        *(traffic_zoo.refused, traffic_zoo.timed_out, traffic_zoo.unreachable),
        *(traffic_zoo.given_up, traffic_zoo.reset_by_either, traffic_zoo.reset_while_reading),
        *(traffic_zoo.unaccepted, traffic_zoo.again_on_one_socket),
    ],
    ids=lambda kind: kind.__name__,
)
@pytest.mark.short_form("re*")
def test_errors_go_unseen(blind_to_errors: str, kind: traffic_zoo.Kind) -> None:
    """Failed is what was not given up, and reset what was neither closed nor unanswered."""
    before, expected = read(blind_to_errors), Expected()
    kind(expected)
    assert_comes_to(blind_to_errors, before, expected, only=_without_retransmitted)


def _without_retransmitted(found: Found) -> Found:
    """Return the totals without what the kernel forgets when connect() tells of an error."""
    return tuple(  # type: ignore[return-value]  # of three
        {key: Counter({**each, "retransmitted": 0}) for key, each in part.items()} for part in found
    )


def test_one_that_is_answered_no_more_is_not_reset(blind_to_errors: str) -> None:
    """It has timed out, which the process has learnt when it closes."""
    payload = 100
    with named("far"):
        ip("link", "set", "veth1", "netns", path_of("far"))
        with inside("far"):
            ip("address", "add", "192.0.2.2/24", "dev", "veth1")
            ip("link", "set", "veth1", "up")
            server = socket.create_server(("192.0.2.2", 0))
        client = socket.create_connection(server.getsockname())
        client.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 500)
        before = read(blind_to_errors)
        with inside("far"):
            ip("link", "set", "veth1", "down")
        client.sendall(b"x" * payload)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.close()
        server.close()
    (found,) = risen(before, read(blind_to_errors))[2].values()
    found.pop("retransmitted", 0)
    assert found == Counter(attempts=1, opened=1, closed=1, bytes_sent=payload)


@pytest.mark.short_form
@pytest.mark.usefixtures("pins")
def test_an_attempt_without_room_whose_error_goes_unseen() -> None:
    """It has failed when its socket connects anew, and whatever comes then counts once.

    The other ends, whose reset goes unseen, leave nothing: they had no room either.
    """
    edits = {**WITHOUT_ERRORS, **bounds(MAX_CONNECTIONS=4, SLOT_BITS=1)}
    with changed(edits) as folder, crowded(folder):
        before, expected = read(folder), Expected()
        for _ in range(8):
            traffic_zoo.again_on_one_socket(expected)
        upstreams = _without_retransmitted(wanted(expected))[2]

        def are_counted() -> bool:
            return risen(before, _without_retransmitted(read(folder)))[2] == {
                key: +each for key, each in upstreams.items()
            }

        wait_for(are_counted, "the last ones to end", 10)
        assert read_all(folder).overflow >= 20


@pytest.mark.short_form
@pytest.mark.usefixtures("pins")
def test_an_idle_one_at_an_address_of_which_the_end_went_unseen() -> None:
    """The pass that finds the memory of the earlier one leaves it to the next, which counts it."""
    number, payload = 200, 100
    server, name = traffic_zoo.listener()
    with server, changed(WITHOUT_SOFTIRQS) as folder:
        before = read(folder)
        for _ in range(2):
            pairs = []
            for _ in range(number):
                client = socket.create_connection(server.getsockname())
                pairs.append((client, server.accept()[0]))
                client.sendall(b"x" * payload)
            for _ in range(2):
                time.sleep(0.2)  # so they are idle
                look(folder)
            found = risen(before, read(folder))[1][name]
            for pair in pairs:
                for end in pair:
                    end.close()
        assert found["accepted"] == 2 * number
        assert found["bytes_received"] == 2 * number * payload
        assert found["closed"] >= number / 10  # of the first ones: so there was memory at addresses
