"""tcp_info as ss(8) prints it."""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

from zabbix_sockets.model.socket import TcpInfo

_MS_AS_US = {
    "rtt_us": r" rtt:([\d.]+)/",
    "rtt_variance_us": r" rtt:[\d.]+/([\d.]+)",
    "receive_rtt_us": r" rcv_rtt:([\d.]+)",
    "min_rtt_us": r" minrtt:([\d.]+)",
}
_WHOLE_MS = {  # of what is counted in microseconds ss drops the rest
    "busy_us": r" busy:(\d+)ms",
    "receiver_limited_us": r" rwnd_limited:(\d+)ms",
    "sender_buffer_limited_us": r" sndbuf_limited:(\d+)ms",
}
_NUMBERS = {
    "congestion_window": r" cwnd:(\d+)",
    "slow_start_threshold": r" ssthresh:(\d+)",
    "unacked": r" unacked:(\d+)",
    "lost": r" lost:(\d+)",
    "retransmits_in_flight": r" retrans:(\d+)/",
    "retransmits": r" retrans:\d+/(\d+)",
    "bytes_sent": r" bytes_sent:(\d+)",
    "bytes_acked": r" bytes_acked:(\d+)",
    "bytes_received": r" bytes_received:(\d+)",
    "bytes_retransmitted": r" bytes_retrans:(\d+)",
    "last_sent_ms": r" lastsnd:(\d+)",
    "last_received_ms": r" lastrcv:(\d+)",
}
_NO_SAMPLE = {"rtt_us", "rtt_variance_us", "receive_rtt_us", "min_rtt_us", "slow_start_threshold"}
_RATE = r" delivery_rate (\d+)bps"
_ALGORITHM = r"\b(bbr|cubic|reno)\b"


class SsInfo(NamedTuple):
    """A connection of ss's: its owner's process name, its ends, and its tcp_info."""

    inode: int
    process: str
    local: str
    remote: str
    info: TcpInfo


def read_ss_info(netns: str = "") -> list[SsInfo]:
    """Return the established TCP connections of the caller's namespace, or of one by name."""
    command = ["ss", *(("-N", netns) if netns else ()), "-tinpeHO"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [_parse(line) for line in output.splitlines() if line.startswith("ESTAB")]


def _parse(line: str) -> SsInfo:
    _, _, _, local, remote, *_ = line.split()
    inode, process = re.search(r" ino:(\d+)", line), re.search(r'"([^"]+)",pid', line)
    rate, algorithm = re.search(_RATE, line), re.search(_ALGORITHM, line)
    found: dict[str, int | None] = {}
    for patterns, factor in ((_MS_AS_US, 1000), (_WHOLE_MS, 1000), (_NUMBERS, 1)):
        for name, pattern in patterns.items():
            match = re.search(pattern, line)
            nothing = None if name in _NO_SAMPLE else 0
            found[name] = round(float(match[1]) * factor) if match else nothing
    return SsInfo(
        int(inode[1]) if inode else 0,
        process[1] if process else "",
        local,
        remote,
        TcpInfo(
            delivery_rate_bytes_per_s=int(rate[1]) // 8 if rate else None,
            congestion_control=algorithm[1] if algorithm else None,
            **found,
        ),
    )


def as_ss_has_it(info: TcpInfo) -> TcpInfo:
    """Return tcp_info without what ss doesn't print.

    That is the microseconds of longer times, the timeouts, and thresholds from 65,535 segments on.
    """
    threshold = info.slow_start_threshold
    if threshold is not None and threshold >= 0xFFFF:
        threshold = None
    return info._replace(
        slow_start_threshold=threshold,
        timeouts=None,
        busy_us=_whole(info.busy_us),
        receiver_limited_us=_whole(info.receiver_limited_us),
        sender_buffer_limited_us=_whole(info.sender_buffer_limited_us),
    )


def _whole(microseconds: int | None) -> int:
    return (microseconds or 0) // 1000 * 1000
