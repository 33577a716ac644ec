"""What the caller lacks for loading BPF programs."""

import pytest

from zabbix_sockets.readers.bpf.capabilities import missing_capabilities

STATUS = b"Name:\tx\nCapEff:\t%016x\nCapBnd:\t0\n"


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
def test_missing_capabilities_are_named(effective: int, missing: list[str]) -> None:
    """CAP_SYS_ADMIN stands for both."""
    assert missing_capabilities(STATUS % effective) == missing
