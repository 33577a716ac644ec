"""What the packages hold: the same files in each format, from each build, for each machine."""

import ast
import hashlib
import io
import posixpath
import re
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
from formats import DEBIAN
from package_tree import SOURCE, version
from wheels import PYTHONS

from tests.systems.packages import machines

from .conftest import build

HOME = f"usr/lib/zabbix-sockets/{version()}"
MOST_BYTES = 3_000_000
ELF_MACHINE = {"x86_64": 0x3E, "aarch64": 0xB7}  # EM_X86_64, EM_AARCH64: elf(5)
ELF_MACHINE_AT = 18
OWN_OF_A_FORMAT = re.compile(r"share/(doc/.*/changelog|lintian/|zsh/)|zabbix-sockets/current$")

pytestmark = pytest.mark.parametrize("machine", machines())
Files = dict[str, tuple[int, bytes]]
"""The mode and the content of files, by their paths below /."""


def deb_of(packages: Path, machine: str) -> Path:
    """Return the path of the .deb for a machine."""
    (path,) = packages.glob(f"*_{DEBIAN[machine]}.deb")
    return path


def rpm_of(packages: Path, machine: str) -> Path:
    """Return the path of the .rpm for a machine."""
    (path,) = packages.glob(f"*.{machine}.rpm")
    return path


def tar_of(packages: Path, machine: str) -> Path:
    """Return the path of the .tar.gz for a machine."""
    (path,) = packages.glob(f"*-{machine}.tar.gz")
    return path


def files_of_tar(archive: bytes) -> Files:
    """Return the files in an archive, which are root's."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            assert (member.uid, member.gid) == (0, 0)
            if member.isreg():
                file = members.extractfile(member)
                assert file
                found[member.name.removeprefix("./")] = member.mode, file.read()
    return found


def files_of_deb(path: Path) -> Files:
    """Return the files that a .deb installs."""
    command = ["dpkg-deb", "--fsys-tarfile", str(path)]
    return files_of_tar(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("form", ["*.deb", "*.rpm", "*.tar.gz"])
def test_size(packages: Path, machine: str, form: str) -> None:
    """None is large."""
    (path,) = [
        each for each in packages.glob(form) if machine in each.name or DEBIAN[machine] in each.name
    ]
    assert 100_000 < path.stat().st_size <= MOST_BYTES


@pytest.mark.short_form
def test_another_build(packages: Path, copied: Path, tmp_path: Path, machine: str) -> None:
    """It gives the same bytes, elsewhere, from files with other times, for another umask."""
    again = build(copied, tmp_path / "dist", machine, umask=0o077)
    made = sorted(path.name for path in again.iterdir())
    assert len(made) == 3
    for name in made:
        assert (again / name).read_bytes() == (packages / name).read_bytes(), name


def test_the_formats_have_the_same_files(packages: Path, machine: str) -> None:
    """With the same modes, but for each distribution's own."""
    deb = files_of_deb(deb_of(packages, machine))
    tar = files_of_tar(tar_of(packages, machine).read_bytes())
    listing = ["rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEMODES:octal} %{FILEDIGESTS}\n]"]
    lines = subprocess.run(
        [*listing, rpm_of(packages, machine)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rpm = {}
    for line in lines:
        name, mode, *digest = line.split()
        if digest:
            rpm[name.lstrip("/")] = int(mode, 8) & 0o7777, digest[0]
    of_all = {name: file for name, file in deb.items() if not OWN_OF_A_FORMAT.search(name)}
    assert len(of_all) > 100
    assert of_all == {name: file for name, file in tar.items() if not OWN_OF_A_FORMAT.search(name)}
    assert {
        name: (mode, hashlib.sha256(content).hexdigest())
        for name, (mode, content) in of_all.items()
    } == {name: file for name, file in rpm.items() if not OWN_OF_A_FORMAT.search(name)}


def test_nobody_else_may_write(packages: Path, machine: str) -> None:
    """Files are to be read by all, and to be run where they are programs."""
    for name, (mode, content) in files_of_deb(deb_of(packages, machine)).items():
        assert mode == (0o755 if content.startswith(b"#!") else 0o644), name


def test_orjson_for_each_python(packages: Path, machine: str) -> None:
    """It is the one for this machine: no other could be loaded, and none would be missed."""
    files = files_of_deb(deb_of(packages, machine))
    found = {}
    for name, (_, content) in files.items():
        if name.endswith(".so"):
            assert content.startswith(b"\x7fELF\x02\x01")  # 64 bits, least byte first
            (found[name],) = struct.unpack_from("<H", content, ELF_MACHINE_AT)
    wanted = [
        f"{HOME}/{tag}/orjson/orjson.{tag}-{machine}-linux-gnu.so"
        for tag in (f"cpython-{python.replace('.', '')}" for python in PYTHONS)
    ]
    assert found == dict.fromkeys(wanted, ELF_MACHINE[machine])
    for path in wanted:
        assert f"{path.rpartition('/')[0]}/__init__.py" in files


def test_the_whole_code(packages: Path, machine: str) -> None:
    """All modules are in it, and the BPF objects, and tomli for Python 3.9 and 3.10."""
    files = files_of_deb(deb_of(packages, machine))
    for path in (SOURCE / "src").rglob("*.py"):
        name = path.relative_to(SOURCE / "src")
        assert files[f"{HOME}/{name}"][1] == path.read_bytes()
    sources = "sockets", "minisocks", "totals", "totals_without_exchange"
    for compiled in (f"{name}.bpf{order}.o" for name in sources for order in ("el", "eb")):
        assert f"{HOME}/zabbix_sockets/readers/bpf/{compiled}" in files
    assert f"{HOME}/tomli/_parser.py" in files


def test_files_on_a_host(packages: Path, machine: str) -> None:
    """Units, agents' files, templates, manual and documentation are where hosts have them."""
    files = files_of_deb(deb_of(packages, machine))
    wanted = [
        "usr/bin/zabbix-sockets",
        *("usr/lib/systemd/system/" + name for name in ("zabbix-sockets-load.service",)),
        "usr/lib/systemd/system/run-zabbix\\x2dsockets.mount",
        "usr/share/zabbix-sockets/conf/zabbix_sockets.conf",
        "usr/share/zabbix-sockets/zabbix_templates/README.md",
        "usr/share/man/man8/zabbix-sockets.8.gz",
        "usr/share/bash-completion/completions/zabbix-sockets",
        "usr/share/zsh/vendor-completions/_zabbix-sockets",
        *("usr/share/doc/zabbix-sockets/" + name for name in ("README.md", "docs/document.md")),
    ]
    assert not set(wanted) - files.keys()
    assert not [name for name in files if not name.startswith("usr/")]


def test_links_lead_somewhere(packages: Path, machine: str) -> None:
    """Each page of the documentation has links to what is installed, and no pictures."""
    files = files_of_deb(deb_of(packages, machine))
    pages = [name for name in files if name.startswith("usr/share/doc/") and name.endswith(".md")]
    assert len(pages) > 20
    for page in pages:
        text = files[page][1].decode()
        for target in re.findall(r"\]\(([^)#\s?]+)(?:#[^)\s]*)?\)", text):
            if not target.startswith("https://"):
                path = posixpath.join("/", posixpath.dirname(page), target)
                assert posixpath.normpath(path)[1:] in files, (page, target)


def test_the_link_comes_last(packages: Path, machine: str) -> None:
    """Who unpacks the .tar.gz over a former version switches when all files are there."""
    with tarfile.open(tar_of(packages, machine)) as members:
        *_, last = members
    assert (last.name, last.linkname) == ("usr/lib/zabbix-sockets/current", version())


def test_unpacked_with_a_closed_umask(packages: Path, machine: str, tmp_path: Path) -> None:
    """All may enter the folders of the .tar.gz, and those that each host has keep their modes."""
    for name in ("usr", "usr/bin", "usr/lib", "usr/share"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o711)
    command = ["tar", "-C", str(tmp_path), "-xzf", str(tar_of(packages, machine))]
    subprocess.run(command, umask=0o077, check=True)
    modes = {
        str(path.relative_to(tmp_path)): path.stat().st_mode & 0o7777
        for path in tmp_path.rglob("*")
        if path.is_dir()
    }
    host = {name: modes.pop(name) for name in ("usr", "usr/bin", "usr/lib", "usr/share")}
    assert set(host.values()) == {0o711}
    assert set(modes.values()) == {0o755}
    assert "usr/lib/zabbix-sockets" in modes


def test_dependencies(packages: Path, machine: str) -> None:
    """Both formats need a Python alone, any from 3.9 on, and recommend libbpf."""
    fields = subprocess.run(
        ["dpkg-deb", "-f", deb_of(packages, machine), "Depends", "Recommends"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "python3 (>= 3.9) | python3.14" in fields
    assert "Recommends: libbpf1 | libbpf0" in fields
    listing = ["rpm", "-qp", "--qf", "[%{REQUIRES}\n]--\n[%{RECOMMENDS}\n]"]
    needed, _, recommended = subprocess.run(
        [*listing, rpm_of(packages, machine)], capture_output=True, text=True, check=True
    ).stdout.partition("--\n")
    scriptlets = ("rpmlib", "/bin/sh", "coreutils", "findutils", "util-linux")
    of_host = [line for line in needed.splitlines() if not line.startswith(scriptlets)]
    assert len(of_host) == 1
    assert set(re.findall(r"/usr/bin/python([\d.]+)", of_host[0])) == set(PYTHONS)
    assert "libbpf.so.1" in recommended
    assert "libbpf.so.0" in recommended


def test_payload(packages: Path, machine: str) -> None:
    """Every rpm of today can unpack the one, every dpkg the other."""
    listing = ["rpm", "-qp", "--qf", "%{PAYLOADCOMPRESSOR} %{PAYLOADFLAGS} %{ARCH} %{BUILDHOST}"]
    assert (
        subprocess.run(
            [*listing, rpm_of(packages, machine)], capture_output=True, text=True, check=True
        ).stdout
        == f"gzip 6 {machine} localhost"
    )
    members = subprocess.run(
        ["ar", "t", deb_of(packages, machine)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert members == ["debian-binary", "control.tar.xz", "data.tar.xz"]


@pytest.mark.short_form
def test_lintian(packages: Path, machine: str) -> None:
    """Lintian has no error to tell."""
    if not shutil.which("lintian"):
        pytest.skip("no lintian")
    answer = subprocess.run(
        ["lintian", "--allow-root", "--fail-on=error,warning", deb_of(packages, machine)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout


def test_rpmlint(packages: Path, machine: str) -> None:
    """Rpmlint has no error to tell."""
    if not shutil.which("rpmlint"):
        pytest.skip("no rpmlint")
    answer = subprocess.run(
        [
            *("rpmlint", "-c", SOURCE / "packaging" / "rpm" / "rpmlintrc.toml"),
            rpm_of(packages, machine),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert " 0 errors," in answer.stdout, answer.stdout


def test_old_pythons_read_start(packages: Path, machine: str) -> None:
    """What the launcher runs can be read by RHEL 8's and SLES 15's python3, which is 3.6."""
    _, content = files_of_deb(deb_of(packages, machine))[f"{HOME}/start.py"]
    assert ast.parse(content, feature_version=(3, 6)).body
