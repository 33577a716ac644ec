"""The .rpm in trees that have a Python: installed by rpm itself, asked, upgraded, erased.

The trees are Debian's, as no other distribution can be had here; rpm is the machine's, works on
the tree as its root, and runs the scriptlets there. What a distribution's own packages provide
stands in the tree's database of rpm by a package without files on disk.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from package_tree import version

from tests.systems import trees
from tests.systems.booted import Prepared

from .asking import NOBODY, asked_while, stopped_while
from .conftest import NEWER

BUILT, NEW = "packages/built.rpm", "packages/newer.rpm"
PYTHON, ANOTHER = "packages/python.rpm", "packages/another.rpm"
HOME = "/usr/lib/zabbix-sockets"
MACHINE = os.uname().machine

# $1 layers, $2 upper, $3 work, $4 where to mount, $5 the lines to run, in which $tree is the root
_ROOTED = """
set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
mount --rbind /proc "$4/proc"
mount --rbind /dev "$4/dev"
export tree=$4 LC_ALL=C
set +u
rpm() { command rpm --force-debian --root "$tree" "$@"; }
inside() { chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C bash -ec "$@"; }
eval "$5"
"""
_SPEC = """
Name: {name}
Version: 1
Release: 1
Summary: What a distribution's own package provides
License: PSF
BuildArch: noarch
AutoReqProv: no
{provides}
%description
It stands for a Python.
%install
for file in {files}; do install -D /dev/null %{{buildroot}}$file; done
%files
{files}
"""

pytestmark = pytest.mark.skipif(not shutil.which("rpm"), reason="no rpm")


class Tree:
    """A tree that rpm works on."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    def run(self, lines: str) -> str:
        """Run lines of shell and return what they print.

        The command `rpm` is there for the tree, and `inside` runs lines in it.
        """
        prepared = self._prepared
        folders = [prepared.upper, prepared.folder / "work", prepared.folder / "tree"]
        arguments = [trees.overlay_of(prepared.layers), *map(str, folders), lines]
        answer = subprocess.run(
            ["unshare", "--mount", "bash", "-c", _ROOTED, "bash", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stdout
        return answer.stdout

    def inside(self, lines: str) -> str:
        """Run lines of shell in the tree, and return what they print."""
        return self.run(f"inside {_quoted(lines)}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.fixture
def root(tree: Prepared, packages: Path, newer: Path, tmp_path: Path) -> Tree:
    """A tree in whose folder /packages there are those of both versions; its Python is known."""
    for folder, path in ((packages, BUILT), (newer, NEW)):
        (package,) = folder.glob(f"*.{MACHINE}.rpm")
        tree.put(package, path)
    rooted = Tree(tree)
    rooted.inside("mkdir -p /usr/lib/systemd/system")  # where all distributions with rpm have it
    python = rooted.inside("readlink -f /usr/bin/python3").strip()
    known = f"Provides: {python} /bin/sh coreutils findutils util-linux"
    tree.put(_rpm(tmp_path, "python-of-the-tree", provides=known), PYTHON)
    tree.put(
        _rpm(tmp_path, "another-python", files="/usr/lib64/python3.10/encodings/x.py"), ANOTHER
    )
    return rooted


def _rpm(folder: Path, name: str, provides: str = "", files: str = "") -> Path:
    """Return the path of a new package."""
    spec = folder / f"{name}.spec"
    spec.write_text(_SPEC.format(name=name, provides=provides, files=files))
    subprocess.run(
        [
            *("rpmbuild", "-bb", "--quiet", f"--define=_rpmdir {folder}"),
            *(f"--define=_topdir {folder}", spec),
        ],
        capture_output=True,
        check=True,
    )
    (made,) = folder.rglob(f"{name}-*.rpm")
    return made


def test_needs_a_python(root: Tree) -> None:
    """Rpm refuses it where no Python is known that will do."""
    assert "/usr/bin/python3.14 or" in root.run(f'! rpm -i "$tree/{BUILT}" 2>&1')


def test_installed_and_erased(root: Tree) -> None:
    """Its scriptlets do what the .deb's do, and it leaves nothing."""
    listed = (
        "find / -xdev \\( -path /proc -o -path /dev -o -path /tmp -o -path /var/lib/rpm"
        " -o -path /packages \\) -prune -o -print | sort"
    )
    root.run(f'rpm -i "$tree/{PYTHON}"')
    before = root.inside(listed)
    said = root.run(f'rpm -i "$tree/{BUILT}"')
    assert "error" not in said
    assert "failed" not in said
    next_step = "zabbix-sockets: next: zabbix-sockets setup"
    assert said.splitlines()[-1] == next_step
    assert next_step not in root.run(f'rpm -U --replacepkgs "$tree/{BUILT}"')
    answer = json.loads(root.inside(f"{NOBODY} zabbix-sockets get"))
    assert answer["version"] == version()
    modules = root.inside(f"find {HOME}/current/zabbix_sockets -name '*.py' | wc -l")
    assert root.inside(f"find {HOME}/current/zabbix_sockets -name '*.pyc' | wc -l") == modules
    assert root.run("rpm --verify zabbix-sockets") == ""
    root.run("rpm -e zabbix-sockets")
    assert root.inside(listed) == before


@pytest.mark.short_form
def test_byte_code_follows_the_pythons(root: Tree) -> None:
    """When a package brings or takes a Python, byte code is made anew for those that are there."""
    root.run(f'rpm -i "$tree/{PYTHON}"; rpm -i "$tree/{BUILT}"')
    folder = f"{HOME}/current/zabbix_sockets"
    for change in (f'-i "$tree/{ANOTHER}"', "-e another-python"):
        root.inside(f"rm -r {folder}/__pycache__; touch {folder}/__init__.cpython-310.pyc")
        root.run(f"rpm {change}")
        assert root.inside(f"ls {folder}/__pycache__") != ""
        assert root.inside(f"find {HOME} -name '*.cpython-310.pyc'") == ""


@pytest.mark.short_form
def test_no_call_fails_meanwhile(root: Tree) -> None:
    """Of calls in a loop none does, while it is installed again, upgraded, and downgraded."""
    root.run(f'rpm -i "$tree/{PYTHON}"; rpm -i "$tree/{BUILT}"')
    steps = [BUILT, NEW, NEW, BUILT]
    lines = "; ".join(f'rpm -U --replacepkgs --oldpackage "$tree/{step}"' for step in steps)
    answers = root.run(asked_while(lines, "chroot $tree")).splitlines()
    assert len(answers) > 20
    assert not [answer for answer in answers if not answer.startswith('0 {"version')]
    assert {json.loads(answer[2:])["version"] for answer in answers} == {version(), NEWER}
    assert root.inside(f"ls {HOME}").split() == [version(), f"{version()}+1", "current"]


@pytest.mark.short_form
def test_calls_that_were_stopped(root: Tree) -> None:
    """A call that began long before the upgrade ends with the files that it began with."""
    root.run(f'rpm -i "$tree/{PYTHON}"; rpm -i "$tree/{BUILT}"')
    answers = root.run(stopped_while(f'rpm -U "$tree/{NEW}" 2>/dev/null', "chroot $tree"))
    assert len(answers.splitlines()) == 5
    assert {json.loads(answer)["version"] for answer in answers.splitlines()} <= {version(), NEWER}
