"""Digests: a few bytes that stand for a text, and which no other text has.

BLAKE2, as hashlib has it, but without hashlib: that imports OpenSSL for 2 to 4 ms. Where a Python
is without it, or in FIPS mode, SHA-256 is in its place: what is made of it is another there, and
the same from call to call.
"""


def _by_blake2(data: bytes, size: int) -> bytes:
    return blake2b(data, digest_size=size).digest()


def _by_openssl(data: bytes, size: int) -> bytes:
    from hashlib import sha256  # noqa: PLC0415  # only where it has to be

    return sha256(data).digest()[:size]


try:
    from _blake2 import blake2b

    blake2b()
except (ImportError, ValueError):
    digest_of = _by_openssl
else:
    digest_of = _by_blake2
