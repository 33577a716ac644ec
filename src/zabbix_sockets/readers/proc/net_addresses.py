"""Reader of the addresses of a process's network namespace: /proc/PID/net/{fib_trie,if_inet6}.

It takes no privilege, where netlink would take CAP_SYS_ADMIN, to enter the namespace. Source:
net/ipv4/fib_trie.c (fib_trie_seq_show), net/ipv6/addrconf.c (if6_seq_show).
"""

from __future__ import annotations

from _collections_abc import Iterable, Iterator

from zabbix_sockets.model import shortage
from zabbix_sockets.model.addresses import parse_address
from zabbix_sockets.readers.proc.files import read_lines

_NOT_LASTING = 0x01 | 0x08 | 0x40  # IFA_F_TEMPORARY, IFA_F_DADFAILED, IFA_F_TENTATIVE


def read_addresses_of(proc: str, pid: int) -> list[bytes]:
    """Return the packed addresses of the namespace of the process *pid*, each once, sorted.

    None are returned of a family whose file can't be read, as where the process is gone.
    """
    found: set[bytes] = set()
    for name, parse in (("fib_trie", parse_fib_trie), ("if_inet6", parse_if_inet6)):
        try:
            found.update(parse(read_lines(f"{proc}/{pid}/net/{name}")))
        except OSError as error:
            shortage.note(error)  # gone, or a kernel without that family
    return sorted(found, key=lambda address: (len(address), address))


def parse_fib_trie(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the packed IPv4 addresses that fib_trie has as the namespace's own.

    Below a leaf, `|-- 192.0.2.1`, its routes stand: that to an own address is `/32 host LOCAL`.
    """
    leaf = b""
    for line in lines:
        words = line.split()
        if words[:1] == [b"|--"]:
            leaf = words[-1]
        elif words == [b"/32", b"host", b"LOCAL"]:
            try:
                yield parse_address(leaf.decode("ascii", "replace"))
            except ValueError:
                pass  # no address: another kernel's words


def parse_if_inet6(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the packed IPv6 addresses of if_inet6, but for temporary and unsettled ones.

    A line has the address, and in hexadecimal the device's index, the prefix's length, the scope
    and flags, then the device.
    """
    for line in lines:
        words = line.split()
        try:
            address, flags = bytes.fromhex(words[0].decode("ascii")), int(words[4], 16)
        except (ValueError, IndexError):
            continue
        if len(address) == 16 and not flags & _NOT_LASTING:  # noqa: PLR2004  # an IPv6 address
            yield address
