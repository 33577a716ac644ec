"""Digests, also of a Python that has no BLAKE2, or is in FIPS mode."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from zabbix_sockets.model.digests import digest_of

NAMES = """
import sys
{without}
from zabbix_sockets.model.names import safe_name
print(safe_name(b"a" * 100), safe_name(b"a" * 101), "hashlib" in sys.modules)
"""
FIPS = """
import types
def blake2b(*_, **__):
    raise ValueError("disabled for FIPS")
sys.modules["_blake2"] = types.SimpleNamespace(blake2b=blake2b, blake2s=blake2b)
"""


def test_digest() -> None:
    """It is that of hashlib, as long as it was asked for."""
    assert digest_of(b"some", 8) == hashlib.blake2b(b"some", digest_size=8).digest()
    assert len(digest_of(b"some", 16)) == 16


@pytest.mark.parametrize("without", ["", 'sys.modules["_blake2"] = None', FIPS])
def test_names_without_blake2(without: str) -> None:
    """Names that are cut end in a digest all the same; OpenSSL is loaded for it only there."""
    command = [sys.executable, "-I", "-c", NAMES.format(without=without)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    one, other, has_hashlib = run.stdout.split()
    digest = hashlib.sha256(b"a" * 100) if without else hashlib.blake2b(b"a" * 100, digest_size=8)
    expected = digest.hexdigest()[:16]
    assert one == f"{'a' * 47}~{expected}"
    assert len(other) == len(one) == 64
    assert other != one
    assert has_hashlib == str(bool(without))
