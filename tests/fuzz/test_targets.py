"""Each target of the fuzzer, for a moment: its seeds, its corpus, and mutations of them."""

from __future__ import annotations

import random
from pathlib import Path
from time import process_time

import pytest
import rounds

from . import target as limits
from .mutation import mutated
from .target import CORPUS, Target, attempt
from .targets import TARGETS

ALL = pytest.mark.parametrize("name", TARGETS)


@ALL
def test_nothing_else_comes_out(name: str) -> None:
    """Only errors that are allowed, in bounds of time and memory; `make fuzz` looks harder."""
    target = TARGETS[name]
    inputs = target.inputs(name)
    for data in inputs:
        found = attempt(target, data)
        assert not found, f"{found.what}: {data!r}\n{found.trace}"
    chance = random.Random(name)
    end = process_time() + rounds.FUZZ_SECONDS
    while process_time() < end:
        data = mutated(chance, inputs, target.longest)
        found = attempt(target, data)
        assert not found, f"{found.what}: {data!r}\n{found.trace}"


@ALL
def test_seeds_are_valid(name: str) -> None:
    """Of each target one seed at least brings out no error: else the fuzzer would begin at none."""
    target = TARGETS[name]

    def passes(data: bytes) -> bool:
        try:
            target.run(data)
        except target.allowed:
            return False
        return True

    assert any(map(passes, target.seeds()))


def test_corpus_is_of_targets() -> None:
    """No file of the corpus is of a target that there is no more."""
    assert {path.name for path in CORPUS.iterdir()} <= TARGETS.keys()


def _whole_number(data: bytes) -> int:
    return int(data)


def test_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that isn't allowed, with its place, and too much time."""
    target = Target(_whole_number, list, (TypeError,))
    assert attempt(target, b"7") is None
    found = attempt(target, b"x")
    assert found
    assert found.what.startswith(f"ValueError {Path(__file__).name}:")
    assert "invalid literal" in found.trace
    monkeypatch.setattr(limits, "SECONDS", -1.0)
    found = attempt(target, b"7")
    assert found
    assert found.what == "more than -1 s"


def test_mutations() -> None:
    """They are not longer than they may be, and the same in each run."""
    inputs = [b"some words", b"others"]
    first, second = (random.Random(5) for _ in range(2))
    found = [mutated(first, inputs, 20) for _ in range(500)]
    assert found == [mutated(second, inputs, 20) for _ in range(500)]
    assert max(map(len, found)) == 20
    assert len(set(found)) > 200
