"""The uuids of all that a template holds: by them an import knows what it updates.

They are made of the names of things, so that each run makes the same ones and both versions of
a template share them. A changed uuid makes servers delete the item with its history: what goes
into one never changes.
"""

import hashlib
import uuid


def uuid_of(*parts: str) -> str:
    """Return 32 hexadecimal digits, in the form of a version 4 UUID, for the thing so named."""
    digest = hashlib.sha256("\0".join(("zabbix-sockets", *parts)).encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=4).hex
