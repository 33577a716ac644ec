"""Record layout of the BPF iterator of minisocks.bpf.c: TCP sockets without a file.

They are those in TIME_WAIT and SYN_RECV, orphans, and connections not yet accepted. It sees the
sockets of the network namespace of the process that opens it, and no others.

Source: minisocks.bpf.c has the record.
"""

from __future__ import annotations

import struct

LOCAL_END, REMOTE_END, BOTH_ENDS = 1, 2, 3
"""The kinds of records. LOCAL_END: connect(2) didn't take the local port, or it is a listener's
that accepted the connection. REMOTE_END: connect(2) took the local port. BOTH_ENDS: listeners
decide which of these it is (collector.directions)."""
IPV6, REMOTE_PORT_EPHEMERAL = 1, 2
"""The flags: the address has 16 bytes, not 4; the remote port, which LOCAL_END has not, is one of
ip_local_port_range."""

# struct minisock: its fields are explained there.
MINISOCK = struct.Struct("=BBBxHHII16s")
MINISOCK_BYTES = struct.Struct(f"{MINISOCK.size}s")
"""The same undecoded, as one field."""
