"""Decoder of a bbolt database: the keys and values of its buckets.

Source: go.etcd.io/bbolt, page.go, db.go (type meta), bucket.go; numbers are in the order of
bytes of the host that wrote it. Podman keeps its containers in one, up to version 4.7, and later
where an older version has made it. Pages in use are never changed in place, so a copy
of a file that is written to meanwhile is mostly readable; else it is a ParseError.
"""

from __future__ import annotations

import struct
from _collections_abc import Iterator

from zabbix_sockets.model.errors import ParseError

_PAGE = struct.Struct("=QHHI")  # id, flags, count, overflow
_META = struct.Struct("=IIIIQQQQQQ")  # magic, version, page size, flags, root, sequence, ..., txid
_LEAF = struct.Struct("=IIII")  # flags, position, sizes of key and value
_BRANCH = struct.Struct("=IIQ")  # position, size of the key, page; as long as one of a leaf
_BUCKET = struct.Struct("=QQ")  # root page (0: the page follows), sequence
_IS_BRANCH, _IS_LEAF = 1, 2
_BUCKET_LEAF = 1
_MAGIC, _VERSION = 0xED0CDAED, 2
_PAGE_SIZES = tuple(1 << bits for bits in range(9, 17))
_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


class BoltDatabase:
    """A bbolt database of the bytes *data*.

    Raises:
        ParseError: it is none.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        found = [self._meta(size) for size in (0, *_PAGE_SIZES)]
        _, self._page_size, self._root = max(meta for meta in [*found, (-1, 0, 0)])
        if not self._page_size:
            raise ParseError("bolt", "no valid meta page")
        # More would be a circle, or pages that are in more than one place.
        self._visits = len(data) // self._page_size + 1
        self._most = len(data) // _LEAF.size

    def items(self, *path: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys and values of the bucket at *path*; none if there is no such bucket.

        The value of a bucket within it is empty.

        Raises:
            ParseError: the database is damaged.
        """
        return ((key, b"" if flags else value) for key, value, flags in self._bucket(path))

    def _meta(self, offset: int) -> tuple[int, int, int]:
        """Return transaction, page size and root page of a meta page; -1, 0, 0 if it is none."""
        try:
            fields = _META.unpack_from(self._data, offset + _PAGE.size)
        except struct.error:
            return -1, 0, 0
        start = offset + _PAGE.size
        content = self._data[start : start + _META.size - 8]
        valid = fields[:2] == (_MAGIC, _VERSION) and fields[2] in _PAGE_SIZES
        return (
            (fields[8], fields[2], fields[4])
            if valid and _fnv(content) == fields[9]
            else (-1, 0, 0)
        )

    def _bucket(self, path: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes, int]]:
        try:
            items = self._leaves(self._at(self._root))
            for name in path:
                inner = next((value for key, value, flags in items if flags and key == name), None)
                if inner is None:
                    return
                root, _ = _BUCKET.unpack_from(inner)
                items = self._leaves(self._at(root) if root else (inner, _BUCKET.size))
            yield from items
        except (struct.error, OverflowError):  # the latter: beyond any address
            raise ParseError("bolt", "a page is cut off") from None

    def _at(self, page: int) -> tuple[bytes, int]:
        return self._data, page * self._page_size

    def _leaves(self, page: tuple[bytes, int]) -> Iterator[tuple[bytes, bytes, int]]:
        """Yield key, value and flags (0: no bucket) of each leaf of a page and those below it."""
        pages = [page]
        visits = elements = 0
        while pages:
            data, offset = pages.pop()
            _, flags, count, _ = _PAGE.unpack_from(data, offset)
            visits += 1
            elements += count
            is_circle = visits > self._visits or elements > self._most
            if is_circle or not flags & (_IS_BRANCH | _IS_LEAF):
                raise ParseError("bolt", f"no page of a tree at {offset}")
            offset += _PAGE.size
            if flags & _IS_BRANCH:
                starts = range(offset, offset + count * _BRANCH.size, _BRANCH.size)
                below = [self._at(_BRANCH.unpack_from(data, each)[2]) for each in starts]
                pages += reversed(below)
                continue
            for at in range(offset, offset + count * _LEAF.size, _LEAF.size):
                kind, position, key, value = _LEAF.unpack_from(data, at)
                start = at + position
                end = start + key + value
                if end > len(data):
                    raise ParseError("bolt", f"a value ends at {end}")
                yield data[start : start + key], data[start + key : end], kind & _BUCKET_LEAF


def _fnv(data: bytes) -> int:
    """Return the 64-bit FNV-1a hash of *data*, the checksum of a meta page."""
    found = _FNV_OFFSET
    for byte in data:
        found = (found ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return found
