"""States by the names of ss(8), and by those of the document. Pure."""

from zabbix_sockets.model.wire import TcpState

ALL = 0xFFFFFFFF
"""Every state, also those that newer kernels have."""

_UNCONNECTED = 1 << TcpState.LISTEN | 1 << TcpState.CLOSE
_BUCKET = 1 << TcpState.SYN_RECV | 1 << TcpState.TIME_WAIT
_OTHER_NAMES = {
    "closed": TcpState.CLOSE,
    "unconnected": TcpState.CLOSE,
    "bound": TcpState.CLOSE,  # as the document calls UDP's; TCP's CLOSE no source has
    "listening": TcpState.LISTEN,
}
MASKS = {
    **{state.name.lower(): 1 << state for state in TcpState},
    **{name: 1 << state for name, state in _OTHER_NAMES.items()},
    "all": ALL,
    "connected": ALL & ~_UNCONNECTED,
    "synchronized": ALL & ~(_UNCONNECTED | 1 << TcpState.SYN_SENT),
    "bucket": _BUCKET,
    "big": ALL & ~_BUCKET,
}
"""The states of each name; ss's `fin-wait-1` is looked up as `fin_wait1`."""

NAMES = (
    "established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait,"
    " last-ack, listening, closing, all, connected, synchronized, bucket or big"
)


def mask_of(name: str) -> int | None:
    """Return the states of a name, in whatever case; None: there is no such name."""
    plain = name.lower().replace("-", "_")
    for number in "12":
        plain = plain.replace(f"fin_wait_{number}", f"fin_wait{number}")
    return MASKS.get(plain)
