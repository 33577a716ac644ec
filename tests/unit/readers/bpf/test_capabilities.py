"""What the caller lacks for loading BPF programs."""

from pathlib import Path

import pytest

from zabbix_sockets.readers.bpf.capabilities import missing_capabilities


@pytest.mark.parametrize(
    ("effective", "missing"),
    [
        (0, ["CAP_PERFMON", "CAP_BPF"]),
        (1 << 38, ["CAP_BPF"]),
        (1 << 39, ["CAP_PERFMON"]),
        (1 << 38 | 1 << 39, []),
        (1 << 21, []),
    ],
)
def test_missing_capabilities_are_named(tmp_path: Path, effective: int, missing: list[str]) -> None:
    """CAP_SYS_ADMIN stands for both."""
    (tmp_path / "thread-self").mkdir()
    (tmp_path / "thread-self/status").write_text(
        f"Name:\tx\nCapEff:\t{effective:016x}\nCapBnd:\t0\n"
    )
    assert missing_capabilities(str(tmp_path)) == missing
