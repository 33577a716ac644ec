"""Reader of /etc/passwd: the local users. NSS is not asked: it could wait for a network.

Source: passwd(5). World-readable; a file longer than MAX_BYTES is not read.
"""

from _collections_abc import Iterator

from zabbix_sockets.model import shortage
from zabbix_sockets.model.light_typing import NamedTuple
from zabbix_sockets.readers.files import read_regular

PATH = "/etc/passwd"
"""The file of the system."""
MAX_BYTES = 1 << 24
"""The longest file that is read: it has some two hundred thousand users."""

_FIELDS = 7
_ID_DIGITS = 10  # of 2^32


class PasswdEntry(NamedTuple):
    """A user of the file, with the bytes of the name and the home folder: not safe to print."""

    name: bytes
    uid: int
    gid: int
    home: bytes


def read_users(path: str = PATH) -> Iterator[PasswdEntry]:
    """Yield the users of the file *path*, in its order.

    None are yielded if it can't be read or is too long. Of several with one uid getpwuid(3) gives
    the first. Lines that are no user's, such as NIS's "+::::::", and those whose uid or gid is no
    number of at most ten digits are left out.
    """
    try:
        data = read_regular(path, MAX_BYTES)
    except OSError as error:
        shortage.note(error)
        return
    for line in data.split(b"\n"):
        fields = line.split(b":")
        if len(fields) == _FIELDS and _is_id(fields[2]) and _is_id(fields[3]):
            yield PasswdEntry(fields[0], int(fields[2]), int(fields[3]), fields[5])


def _is_id(text: bytes) -> bool:
    return text.isdigit() and len(text) <= _ID_DIGITS
