"""The fake kernel's network: netlink sockets, namespaces to enter, names of devices."""

from __future__ import annotations

import _socket
import errno
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from zabbix_sockets.readers import rtnetlink
from zabbix_sockets.readers.netlink import NLATTR, NLMSG_DONE

from ..readers.sock_diag.messages import (  # noqa: TID252  # a test folder is no package
    message,
)
from . import diag
from .faults import Effect
from .files import REAL
from .scene import DEVICES, OWN, Scene
from .steps import Replace, Steps

_SOCKET = _socket.socket
_ENDLESS_SECONDS = 0.05  # that each of the same datagrams takes


class Network:
    """Answers from *scene*; *paths* are what descriptors are called."""

    def __init__(
        self, scene: Scene, step: Steps, paths: dict[int, str], cgroup_of: diag.CgroupOf
    ) -> None:
        self._scene = scene
        self._step = step
        self._paths = paths
        self._cgroup_of = cgroup_of

    def install(self, replace: Replace) -> None:
        """Put it in the place of the real one."""
        replace(os, "setns", self._setns)  # which Python has from 3.12 on
        replace(_socket, "socket", self._socket)
        replace(_socket, "if_indextoname", self._if_indextoname)
        replace(_socket, "if_nametoindex", self._if_nametoindex)

    def _setns(self, fd: int, _kind: int = 0) -> None:
        is_home = "thread-self" in self._paths.get(fd, "")
        self._step("setns", "home" if is_home else "away")
        self._step.netns = OWN if is_home else int(os.pread(fd, 20, 0))

    def _if_indextoname(self, index: int) -> str:
        self._step("if_indextoname", str(index))
        if index not in DEVICES[self._step.netns]:
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        return DEVICES[self._step.netns][index]

    def _if_nametoindex(self, name: str) -> int:
        self._step("if_nametoindex", name)
        for index, known in DEVICES[self._step.netns].items():
            if known == name:
                return index
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    def _socket(self, family: int = -1, *arguments: Any, **options: Any) -> Any:
        if family != _socket.AF_NETLINK:
            return _SOCKET(family, *arguments, **options)
        self._step("netlink")
        return Netlink(self, self._step)

    def answers(self, request: bytes, netns: int) -> Iterator[bytes]:
        """Return the datagrams of a dump; sockets of none but ended processes are closed."""
        (kind,) = struct.unpack_from("=H", request, 4)
        if kind == rtnetlink.RTM_GETADDR:
            return iter([_addresses_of(netns)])
        scene, gone = self._scene, self._step.gone
        if gone:
            left = (each for each in scene.sockets if not each.holders or set(each.holders) - gone)
            unix = (each for each in scene.unix if set(each.holders) - gone)
            scene = scene._replace(sockets=tuple(left), unix=tuple(unix))
        return diag.answer(request, scene, netns, self._cgroup_of)


class Netlink:
    """A netlink socket of the namespace that it is made in; it has a descriptor."""

    def __init__(self, network: Network, step: Steps) -> None:
        self._fd = -1
        self._network = network
        self._step = step
        self._netns = step.netns
        self._fd = REAL["open"](os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._answers: Iterator[bytes] = iter(())
        self._last = b""
        self._is_endless = False

    def settimeout(self, _seconds: float | None) -> None:
        """Nothing ever waits here."""

    def setsockopt(self, *_: object) -> None:
        """Every option is as good as another."""

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def send(self, request: bytes) -> int:
        """Take a request; while a dump is not read to its end, another one is refused."""
        (kind,) = struct.unpack_from("=H", request, 4)
        family, protocol = request[16:18]
        self._step("send", f"{kind} {family} {protocol}")
        answers = self._network.answers(request, self._netns)
        left = list(self._answers)
        self._answers = iter([*left, _error(errno.EBUSY)]) if left else answers
        return len(request)

    def recvmsg_into(
        self, buffers: Sequence[Any], *_: object
    ) -> tuple[int, list[object], int, None]:
        """Give the next datagram."""
        effect = self._step("recv")
        self._is_endless |= effect is Effect.ENDLESS
        if self._is_endless and self._last:
            self._step.let_pass(_ENDLESS_SECONDS)
        else:
            self._last = next(self._answers, b"")
        data = _spoilt(self._last, effect)
        buffers[0][: len(data)] = data
        return len(data), [], 0, None

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            REAL["close"](self._fd)
            self._fd = -1

    __del__ = close


def _addresses_of(netns: int) -> bytes:
    """Return the datagram with an address of each device of a namespace, and the dump's end."""
    found = []
    for index in sorted(DEVICES[netns]):
        address = bytes((192, 0, 2, index % 256))
        body = rtnetlink.IFADDRMSG.pack(_socket.AF_INET, 24, 0, 0, index)
        body += NLATTR.pack(8, rtnetlink.IFA_LOCAL) + address
        found.append(message(rtnetlink.RTM_NEWADDR, body))
    return b"".join(found) + message(NLMSG_DONE, bytes(4))


def _spoilt(data: bytes, effect: Effect | None) -> bytes:
    """Return a datagram with what *effect* does to it."""
    if effect is Effect.SHORT:
        return data[: len(data) - 10]
    if effect is Effect.EMPTY:
        return b""
    if effect is Effect.GARBAGE:
        return b"\xff" * len(data)
    if effect is Effect.REFUSAL:
        return _error(errno.EPERM)
    return data


def _error(number: int) -> bytes:
    """Return NLMSG_ERROR."""
    return message(2, struct.pack("=i", -number) + bytes(16))
