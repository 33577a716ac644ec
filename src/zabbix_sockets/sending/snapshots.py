"""A document made in a child process: a service that stays collects no garbage of a hundred."""

import os
import select
import signal
import time
from collections.abc import Callable
from typing import NoReturn

import orjson

from zabbix_sockets.errors import SocketsError

_GRACE = 1.0
"""Seconds past the timeout after which a child that hangs is killed."""


def take(make: Callable[[], object], timeout: float) -> dict[str, object]:
    """Return what *make* returns, made in a child; *timeout* in seconds.

    Raises:
        SocketsError: it raised one, or hung.
    """
    receive, send = os.pipe()
    try:
        child = os.fork()
    except OSError as error:  # the next time there may be room for one more process
        os.close(receive)
        os.close(send)
        raise SocketsError(f"no process to make a document: {error.strerror}") from None
    if child == 0:
        os.close(receive)
        _answer(make, send)
    os.close(send)
    try:
        answer = _read(receive, time.monotonic() + timeout + _GRACE)
    finally:
        os.close(receive)
        os.kill(child, signal.SIGKILL)  # it has ended, or it hangs
        os.waitpid(child, 0)
    if not answer:
        raise SocketsError(f"no document within {timeout:g} s")
    try:
        document = orjson.loads(answer)
    except ValueError:
        raise SocketsError("the process that made the document was killed") from None
    if "error" in document:
        raise SocketsError(document["error"])
    assert isinstance(document, dict)
    return document


def _answer(make: Callable[[], object], descriptor: int) -> NoReturn:
    """Write the answer and leave, without anything that the parent has to clean up."""
    try:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        try:
            answer = orjson.dumps(make())
        except SocketsError as error:
            answer = orjson.dumps({"error": str(error)})
        except Exception as error:  # noqa: BLE001  # the parent says it, and goes on
            answer = orjson.dumps({"error": f"{type(error).__name__}: {error}"})
        with open(descriptor, "wb") as file:
            file.write(answer)
    finally:
        os._exit(0)


def _read(descriptor: int, deadline: float) -> bytes:
    """Return all that comes until the child closes its end; nothing if that takes too long."""
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return b""
        part = os.read(descriptor, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)
