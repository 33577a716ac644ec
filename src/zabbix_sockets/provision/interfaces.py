"""Host interfaces: the address at which a server asks an agent."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, NamedTuple

AGENT = 1  # HostInterface.type of the API
_PORT = "10050"
_MAX_PORT = 65535
_PORT_DIGITS = 5
_DNS = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9_.])?")
_HOW = "write ADDRESS:PORT, with an IPv6 address in brackets: [2001:db8::1]:10050"


class Interface(NamedTuple):
    """An agent's address and port.

    Attributes:
        address: an IP address or a DNS name.
        port: digits, or a user macro, which somebody has set in the frontend.
        is_ip: the address is an IP address.
    """

    address: str
    port: str
    is_ip: bool

    def __str__(self) -> str:
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{shown}:{self.port}"

    def parameters(self) -> dict[str, object]:
        """Return the interface as host.create and host.massadd take it."""
        return {
            "type": AGENT,
            "main": 1,
            "useip": int(self.is_ip),
            "ip": self.address if self.is_ip else "",
            "dns": "" if self.is_ip else self.address,
            "port": self.port,
        }


def parse_interface(text: str) -> Interface:
    """Return the interface of the text ADDRESS:PORT; without a port it has 10050.

    Raises:
        ValueError: it is none.
    """
    if bracketed := re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(.*))?", text):
        address, port = bracketed[1], bracketed[2]
    else:
        address, colon, port = text.partition(":")
        port = port if colon else None
    number = _PORT if port is None else _check_port(port)
    try:
        return Interface(str(ipaddress.ip_address(address)), number, is_ip=True)
    except ValueError:
        if bracketed or not _DNS.fullmatch(address) or not address.strip("0123456789."):
            raise ValueError(f"not an address; {_HOW}") from None
    return Interface(address, number, is_ip=False)


def decode_interface(row: dict[str, Any]) -> Interface | None:
    """Return the interface of an object of host.get; None if it is not an agent's main one."""
    if int(row["type"]) != AGENT or int(row["main"]) != 1:
        return None
    is_ip = bool(int(row["useip"]))
    return Interface(str(row["ip"] if is_ip else row["dns"]), str(row["port"]), is_ip)


def _check_port(text: str) -> str:
    digits = text.lstrip("0") if text.isascii() and text.isdecimal() else ""
    if not (0 < len(digits) <= _PORT_DIGITS and int(digits) <= _MAX_PORT):
        raise ValueError(f"not a port; {_HOW}")
    return digits
