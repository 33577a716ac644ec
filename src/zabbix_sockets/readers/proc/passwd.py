"""/etc/passwd: the local users. NSS is not asked: it could wait for a network.

Source: passwd(5). World-readable; of a file longer than MAX_BYTES nobody is known.
"""

from collections.abc import Iterator
from typing import NamedTuple

from zabbix_sockets.model import shortage
from zabbix_sockets.readers.files import read_regular

PATH = "/etc/passwd"
MAX_BYTES = 1 << 24
"""Some two hundred thousand users."""

_FIELDS = 7


class User(NamedTuple):
    """A line of the file; name and home are not safe to print."""

    name: bytes
    uid: int
    home: bytes


def read_users(path: str = PATH) -> Iterator[User]:
    """Yield the users; none where the file is not there, as in a container without one.

    Of several with one uid the first is the one that getpwuid(3) gives. Lines that are no
    user's, such as NIS's "+::::::", are left out.
    """
    try:
        data = read_regular(path, MAX_BYTES)
    except OSError as error:
        shortage.note(error)
        return
    for line in data.split(b"\n"):
        fields = line.split(b":")
        if len(fields) == _FIELDS and fields[2].isdigit():
            yield User(fields[0], int(fields[2][:10]), fields[5])
