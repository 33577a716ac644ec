"""Masks of states by their names in ss(8), and in the document. Pure."""

from __future__ import annotations

from zabbix_sockets.model.wire import TCP_STATES, TcpState

ALL = 0xFFFFFFFF
"""The mask of every state, also of those that newer kernels have."""

_UNCONNECTED = 1 << TcpState.LISTEN | 1 << TcpState.CLOSE
_BUCKET = 1 << TcpState.SYN_RECV | 1 << TcpState.TIME_WAIT
_OTHER_NAMES = {
    "closed": TcpState.CLOSE,
    "unconnected": TcpState.CLOSE,
    "bound": TcpState.CLOSE,  # as the document calls UDP's; TCP's CLOSE no source has
    "listening": TcpState.LISTEN,
}
MASKS = {
    **{name: 1 << state for state, name in TCP_STATES.items()},
    **{name: 1 << state for name, state in _OTHER_NAMES.items()},
    "all": ALL,
    "connected": ALL & ~_UNCONNECTED,
    "synchronized": ALL & ~(_UNCONNECTED | 1 << TcpState.SYN_SENT),
    "bucket": _BUCKET,
    "big": ALL & ~_BUCKET,
}
"""The mask of states, bit N for the kernel's number N, of each name, as mask_of() writes it."""

NAMES = (
    "established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait,"
    " last-ack, listening, closing, all, connected, synchronized, bucket or big"
)
"""The names in words, for messages."""


def mask_of(name: str) -> int | None:
    """Return the mask of the states of a name in any case, with "-" or "_"; None: no such name."""
    plain = name.lower().replace("-", "_")
    for number in "12":
        plain = plain.replace(f"fin_wait_{number}", f"fin_wait{number}")
    return MASKS.get(plain)
