"""Parser of the address of a Zabbix frontend."""

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

_API = "/api_jsonrpc.php"
_EXAMPLE = "write it as https://zabbix.example.com/zabbix"


class Frontend(NamedTuple):
    """The address of a frontend.

    Attributes:
        url: without the API's own file and a slash at its end.
        exposed: what is sent there can be read on the way: it is http, and not to this machine.
    """

    url: str
    exposed: bool


def parse_frontend(text: str) -> Frontend:
    """Return the frontend at a URL, which may end with the API's own file or a slash.

    Raises:
        ValueError: it is no such URL. The message doesn't repeat it: it may hold a password.
    """
    if not text.isprintable() or " " in text:
        raise ValueError(f"not a URL; {_EXAMPLE}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        raise ValueError(f"not a URL; {_EXAMPLE}") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise ValueError(f"not a URL with http or https; {_EXAMPLE}")
    if "@" in parts.netloc:
        raise ValueError("no user or password belongs into the URL: see --user, --password-file")
    if parts.query or parts.fragment:
        raise ValueError(f"only the frontend's address, nothing from '?' or '#' on; {_EXAMPLE}")
    path = parts.path.removesuffix(_API).rstrip("/")
    exposed = parts.scheme == "http" and not _is_loopback(host)
    return Frontend(f"{parts.scheme}://{parts.netloc}{path}", exposed)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
