"""Files of /proc, of which the kernel gives a page at a time."""

import os

import pytest

PAGE = 4096


@pytest.fixture
def read_by_pages(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a read(2) give at most a page, as of files in /proc; return what was asked for."""
    asked: list[int] = []
    read = os.read

    def read_page(fd: int, length: int) -> bytes:
        asked.append(length)
        return read(fd, min(length, PAGE))

    monkeypatch.setattr("os.read", read_page)
    return asked
