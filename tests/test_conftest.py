"""The rule that turns skips into failures, tried in a pytest of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import pytest

@pytest.fixture
def missing():
    pytest.skip("not here")

@pytest.mark.zabbix
def test_in_body():
    pytest.skip("no agent")

@pytest.mark.zabbix
def test_in_fixture(missing):
    raise AssertionError

@pytest.mark.kernel
def test_other_marker():
    pytest.skip("no kernel")

@pytest.mark.zabbix
@pytest.mark.xfail(reason="known")
def test_expected_failure():
    raise AssertionError

def test_unmarked():
    pytest.skip("whatever")
"""


def run_pytest(directory: Path, environment: dict[str, str]) -> str:
    """Run MODULE below a copy of the conftest; return what pytest printed."""
    (directory / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (directory / "test_module.py").write_text(MODULE)
    (directory / "pytest.ini").write_text("[pytest]\nmarkers =\n    kernel\n    zabbix\n")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--color=no"],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout


def test_skips_stay_skips(tmp_path: Path) -> None:
    """Without a variable nothing fails."""
    assert "4 skipped, 1 xfailed" in run_pytest(tmp_path, {})


@pytest.mark.parametrize(
    ("variable", "summary", "reasons"),
    [
        (
            "REQUIRE_ZABBIX",
            "1 failed, 2 skipped, 1 xfailed, 1 error",
            [
                "REQUIRE_ZABBIX=1, but: Skipped: no agent",
                "REQUIRE_ZABBIX=1, but: Skipped: not here",
            ],
        ),
        (
            "REQUIRE_KERNEL",
            "1 failed, 3 skipped, 1 xfailed",
            ["REQUIRE_KERNEL=1, but: Skipped: no kernel"],
        ),
    ],
)
def test_required_skips_fail(
    tmp_path: Path, variable: str, summary: str, reasons: list[str]
) -> None:
    """A variable fails the skips of its own marker, in tests and fixtures, with the reason."""
    printed = run_pytest(tmp_path, {variable: "1"})
    assert summary in printed
    for reason in reasons:
        assert reason in printed
