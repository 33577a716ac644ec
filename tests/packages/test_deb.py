"""The .deb in trees of Debian's releases: installed, asked, upgraded, removed, purged."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import rounds
from formats import DEBIAN
from package_tree import version

from tests.systems.booted import Prepared

from .asking import NOBODY, asked_while, stopped_while
from .conftest import NEWER, above

MACHINE = os.uname().machine
BUILT, NEW = "/packages/built.deb", "/packages/newer.deb"
LIST = "find / -xdev \\( -path /proc -o -path /dev -o -path /tmp -o -path /packages \\) -prune -o"
# What dpkg keeps for itself: logs, lists of what was, and its own former state.
OF_DPKG = "/var/lib/dpkg/(status-old|lock|triggers|info(/|$)|available)|/var/(log|cache)/"
REMOVED = f"{LIST} -print | sort | grep -Ev '^({OF_DPKG})' || :"

_ANOTHER_PYTHON = """\
Package: another-python
Version: 1
Architecture: all
Maintainer: x
Description: x
"""

pytestmark = pytest.mark.skipif(MACHINE not in DEBIAN, reason="no package for this machine")


def install(path: str) -> str:
    """Return the command that installs a package without a network, quickly."""
    return f"unshare --net dpkg --force-unsafe-io --install {path} >/tmp/dpkg 2>&1"


@pytest.fixture(scope="module")
def layers_without(layers: Sequence[Path], packages: Path, newer: Path) -> Iterator[Sequence[Path]]:
    """The layers of a tree with both packages in a folder, and neither installed."""
    with above(layers) as tree:
        for folder, path in ((packages, BUILT), (newer, NEW)):
            (package,) = folder.glob(f"*_{DEBIAN[MACHINE]}.deb")
            tree.put(package, path)
        yield [*layers, tree.upper]


@pytest.fixture(scope="module")
def layers_with(layers_without: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """The same, where the one of this checkout is installed."""
    with above(layers_without) as tree:
        tree.run(install(BUILT))
        yield [*layers_without, tree.upper]


@pytest.fixture
def debian(layers_without: Sequence[Path]) -> Iterator[Prepared]:
    """A tree with both packages in a folder, and neither installed."""
    with above(layers_without) as tree:
        yield tree


@pytest.fixture
def installed(layers_with: Sequence[Path]) -> Iterator[Prepared]:
    """A tree with both packages in a folder, and the one of this checkout installed."""
    with above(layers_with) as tree:
        yield tree


def test_installed_and_removed(debian: Prepared) -> None:
    """It answers at once, without pip and network, and leaves nothing when it is purged."""
    debian.run("mkdir -p /var/lib/private")  # systemd's
    before = debian.run(REMOVED)
    debian.run(install(BUILT))
    answer = json.loads(debian.run(f"{NOBODY} zabbix-sockets get"))
    assert answer["version"] == version()
    assert answer["collector"]["source"] in ("bpf", "sock_diag", "procfs")
    assert (
        debian.run("dpkg --verify zabbix-sockets; cat /tmp/dpkg | grep -i -e warn -e error || :")
        == ""
    )
    for unit in ("load.service", "names.path"):  # as `systemctl edit` leaves it
        folder = f"/etc/systemd/system/zabbix-sockets-{unit}.d"
        debian.run(f"mkdir -p {folder} && echo >{folder}/override.conf")
    debian.run("dpkg --remove zabbix-sockets")
    assert debian.run("ls /usr/lib/zabbix-sockets 2>/dev/null || :") == ""
    debian.run("mkdir -p /var/lib/private/zabbix-sockets; dpkg --purge zabbix-sockets")
    assert debian.run(REMOVED) == before


def test_says_what_is_next(debian: Prepared) -> None:
    """The first installation ends with the next step, also one after a removal; no upgrade does."""
    line = "zabbix-sockets: next: zabbix-sockets setup"
    for path, count in ((BUILT, 1), (NEW, 0), (BUILT, 0)):
        debian.run(install(path))
        assert debian.run(f"grep -cx '{line}' /tmp/dpkg || :").strip() == str(count)
    debian.run("dpkg --remove zabbix-sockets")
    debian.run(install(BUILT))
    assert debian.run("tail -n 1 /tmp/dpkg").strip() == line


def test_brings_orjson(installed: Prepared) -> None:
    """The tree's Python loads the one that is meant for it."""
    script = (
        "import sys; home = '/usr/lib/zabbix-sockets/current/';"
        "sys.path[:0] = [home, home + sys.implementation.cache_tag];"
        "import orjson; print(orjson.__file__, orjson.dumps([1]).decode())"
    )
    path, value = installed.run(f'python3 -I -S -c "{script}"').split()
    assert path.startswith("/usr/lib/zabbix-sockets/current/cpython-3")
    assert value == "[1]"


def test_byte_code(installed: Prepared) -> None:
    """Each module has it for the tree's Python, and no call of root's adds to it."""
    modules = installed.run(
        "find /usr/lib/zabbix-sockets/current/zabbix_sockets -name '*.py' | wc -l"
    )
    compiled = "find /usr/lib/zabbix-sockets/current/zabbix_sockets -name '*.pyc'"
    assert installed.run(f"{compiled} | wc -l") == modules
    installed.run("zabbix-sockets get; zabbix-sockets show sockets --json")
    assert installed.run(f"{compiled} | wc -l") == modules
    assert (
        installed.run(f"find /usr/lib/zabbix-sockets ! -type l -perm /022; {compiled} ! -perm 0644")
        == ""
    )


def test_byte_code_follows_the_pythons(installed: Prepared) -> None:
    """When a package brings or takes a Python, byte code is made anew for those that are there."""
    folder = "/usr/lib/zabbix-sockets/current/zabbix_sockets/__pycache__"
    installed.run(f"rm -r {folder}; touch {folder[:-12]}/__init__.cpython-310.pyc")
    installed.write("/tmp/other/DEBIAN/control", _ANOTHER_PYTHON)
    installed.write("/tmp/other/usr/bin/python3.10", "")
    installed.run(f"dpkg-deb --build /tmp/other /tmp/other.deb; {install('/tmp/other.deb')}")
    assert installed.run(f"ls {folder}") != ""
    installed.run("dpkg --purge another-python")
    assert installed.run("find /usr/lib/zabbix-sockets -name '*.cpython-310.pyc'") == ""


def test_no_call_fails_meanwhile(installed: Prepared) -> None:
    """Of calls in a loop none does, while it is installed again, upgraded, and downgraded."""
    steps = [NEW, BUILT] if rounds.IS_SHORT else [BUILT, NEW, NEW, BUILT]
    answers = installed.run(asked_while("; ".join(map(install, steps)))).splitlines()
    assert len(answers) > 20
    assert not [answer for answer in answers if not answer.startswith('0 {"version')]
    assert {json.loads(answer[2:])["version"] for answer in answers} == {version(), NEWER}
    assert installed.run("ls /usr/lib/zabbix-sockets").split() == [
        version(),
        f"{version()}+1",
        "current",
    ]


def test_calls_that_were_stopped(installed: Prepared) -> None:
    """A call that began long before the upgrade ends with the files that it began with.

    They go with the next installation.
    """
    answers = installed.run(stopped_while(install(NEW))).splitlines()
    assert len(answers) == 5
    assert {json.loads(answer)["version"] for answer in answers} <= {version(), NEWER}
    assert f"{version()}+1 is in use" in installed.run("cat /tmp/dpkg")
    assert f"{version()}+1" in installed.run("ls /usr/lib/zabbix-sockets").split()
    installed.run(install(NEW))
    assert f"{version()}+1" not in installed.run("ls /usr/lib/zabbix-sockets").split()


@pytest.mark.short_form
def test_without_a_python(installed: Prepared) -> None:
    """An agent gets one line that says so, a person another."""
    said = installed.run(
        "cd /usr/bin; for python in python3*; do mv $python hidden-$python; done;"
        "for verb in get show; do zabbix-sockets $verb 2>&1 || echo $?; done"
    )
    reason = "needs Python 3.9 or later: there is none in /usr/bin"
    assert said.splitlines() == [
        f'{{"error":"zabbix-sockets {reason}"}}',
        "1",
        f"zabbix-sockets: it {reason}",
        "1",
    ]


def test_a_python_that_is_too_old(installed: Prepared) -> None:
    """It says so by itself."""
    said = installed.run(
        "sed -i 's/^OLDEST = .*/OLDEST = (3, 99)/' /usr/lib/zabbix-sockets/current/start.py;"
        "for verb in get show; do zabbix-sockets $verb 2>&1 || echo $?; done"
    ).splitlines()
    assert said[0].startswith(
        '{"error":"zabbix-sockets needs Python 3.9 or later: /usr/bin has only 3.'
    )
    assert said[2].startswith("zabbix-sockets: it needs Python 3.9 or later")
    assert said[1::2] == ["1", "1"]
