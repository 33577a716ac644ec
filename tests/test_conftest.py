"""What turns skips into failures, and what is left out, tried in a pytest of its own."""

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


SHORT = """
import pytest

pytestmark = pytest.mark.short_form("7.0*")

@pytest.mark.parametrize("version", ["6.0", "7.0"])
def test_versions(version): pass

@pytest.mark.short_form
def test_long(): pass

def test_unparametrized(): pass
"""

SUPPORT = Path(__file__).with_name("support")


def run_pytest(
    directory: Path, environment: dict[str, str], module: str = MODULE, test: str = ""
) -> str:
    """Run *module*, or a *test* of it, below a copy of the conftest; return what pytest printed."""
    (directory / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (directory / "test_module.py").write_text(module)
    markers = "".join(f"\n    {each}" for each in ("kernel", "zabbix", "short_form"))
    settings = f"[pytest]\npythonpath = {SUPPORT}\nmarkers ={markers}\n"
    (directory / "pytest.ini").write_text(settings)
    program = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--color=no"]
    result = subprocess.run(
        [*program, f"test_module.py{test}"],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr


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


@pytest.mark.parametrize(
    ("size", "test", "summary"),
    [
        ("short", "", "2 passed, 2 deselected"),
        ("full", "", "4 passed"),
        ("short", "::test_versions[6.0]", "1 passed"),
        ("short", "::test_long", "1 passed"),
    ],
)
def test_short_form(tmp_path: Path, size: str, test: str, summary: str) -> None:
    """With few rounds a test is left out, unless its parameters are wanted or it is named."""
    assert summary in run_pytest(tmp_path, {"TEST_ROUNDS": size}, SHORT, test)


def test_short_form_of_no_test(tmp_path: Path) -> None:
    """A pattern that matches nothing is said: else all would be left out, and nobody would know."""
    printed = run_pytest(tmp_path, {}, SHORT.replace("7.0*", "8.0*"))
    assert "short_form has patterns of no test" in printed
