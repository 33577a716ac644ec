"""The formats of a package: .deb, .rpm and .tar.gz of the same files."""

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

from package_tree import DOC, HOME, NAME, SOURCE, Entry, Tree, version, write, zipped

RELEASE = "1"
MACHINES = ("x86_64", "aarch64")
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
"""Debian's names of the machines."""

_HERE = Path(__file__).parent
_SCRIPTS = ("postinst", "prerm", "postrm")


def build_tar(tree: Tree, machine: str, moment: int, folder: Path) -> Path:
    """Write the .tar.gz into *folder* and return its path; all its files are of *moment*."""
    path = folder / f"{NAME}-{version()}-{machine}.tar.gz"
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as archive:
        files = tree | {f"{DOC}/copyright": Entry(0o644, _copyright())}
        for name in _folders(files):
            member = _member(name, Entry(0o755, b""), moment)
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
        for name, entry in files.items():
            archive.addfile(_member(name, entry, moment), io.BytesIO(entry.content))
        # The last: it switches.
        link = tarfile.TarInfo(f"{HOME}/current")
        link.type, link.linkname, link.mtime = tarfile.SYMTYPE, version(), moment
        archive.addfile(link)
    path.write_bytes(gzip.compress(content.getvalue(), 6, mtime=0))
    return path


def _folders(files: Tree) -> list[str]:
    """Return the folders that may be made for *files*, the upper ones first.

    Without them tar would make them as the caller's umask has it. Those that are on every host are
    left out: they have other modes there, such as 0555 on Fedora.
    """
    found = {str(folder) for name in files for folder in Path(name).parents}
    return sorted(found - {".", "usr", "usr/bin", "usr/lib", "usr/share"})


def _member(name: str, entry: Entry, moment: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(entry.content), entry.mode, moment
    member.uname = member.gname = "root"
    return member


def build_deb(tree: Tree, machine: str, moment: int, folder: Path) -> Path:
    """Write the .deb into *folder* by dpkg-deb and return its path."""
    path = folder / f"{NAME}_{version()}-{RELEASE}_{DEBIAN[machine]}.deb"
    files = tree | {
        f"{DOC}/copyright": Entry(0o644, _copyright()),
        f"{DOC}/changelog.gz": zipped((SOURCE / "CHANGELOG.md").read_bytes()),
        f"usr/share/lintian/overrides/{NAME}": Entry(
            0o644, (_HERE / "deb" / "lintian-overrides").read_bytes()
        ),
        f"{DOC}/changelog.Debian.gz": zipped(_debian_changelog(moment).encode()),
    }
    kilobytes = sum(-(-len(entry.content) // 1024) for entry in files.values())
    values = {"ARCHITECTURE": DEBIAN[machine], "SIZE": str(kilobytes)}
    files["DEBIAN/control"] = Entry(0o644, _filled(_HERE / "deb" / "control", values))
    files["DEBIAN/triggers"] = Entry(0o644, (_HERE / "deb" / "triggers").read_bytes())
    for name in _SCRIPTS:
        files[f"DEBIAN/{name}"] = Entry(0o755, _filled(_HERE / "deb" / name, {}))
    files["DEBIAN/md5sums"] = Entry(0o644, _md5sums(files))
    with tempfile.TemporaryDirectory() as root:
        write(files, Path(root), moment)
        _run(["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", root, str(path)], moment)
    return path


def _md5sums(files: Tree) -> bytes:
    """Return what dpkg --verify compares with."""
    return b"".join(
        f"{hashlib.md5(entry.content, usedforsecurity=False).hexdigest()}  {name}\n".encode()
        for name, entry in files.items()
        if not name.startswith("DEBIAN/")
    )


def build_rpm(tree: Tree, machine: str, moment: int, folder: Path) -> Path:
    """Write the .rpm into *folder* by rpmbuild and return its path."""
    path = folder / f"{NAME}-{version()}-{RELEASE}.{machine}.rpm"
    zsh = {
        name.replace("zsh/vendor-completions", "zsh/site-functions"): entry
        for name, entry in tree.items()
    }
    files = zsh | {f"{DOC}/copyright": Entry(0o644, _copyright())}
    with tempfile.TemporaryDirectory() as top:
        root = Path(top) / "root"
        root.mkdir()
        write(files, root, moment)
        spec = Path(top) / f"{NAME}.spec"
        spec.write_bytes(
            _filled(_HERE / "rpm" / f"{NAME}.spec", {"FILES": _listed(files), "DATE": _day(moment)})
        )
        _run(
            [
                *("rpmbuild", "-bb", "--quiet", f"--target={machine}-linux"),
                *(f"--define=_topdir {top}", f"--define=tree {root}", f"--define=_rpmdir {top}"),
                *("--define=_buildhost localhost", "--define=use_source_date_epoch_as_buildtime 1"),
                *("--define=clamp_mtime_to_source_date_epoch 1", str(spec)),
            ],
            moment,
        )
        (made,) = Path(top).glob(f"{machine}/*.rpm")
        shutil.move(made, path)
    return path


def _run(command: Sequence[str], moment: int) -> None:
    """Run a packager's tool; what it prints is shown if it fails, which ends the building."""
    made = subprocess.run(
        command,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(moment)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if made.returncode:
        sys.exit(f"{command[0]} failed:\n{made.stdout}")


def _day(moment: int) -> str:
    """Return the day as an rpm's changelog has it."""
    return time.strftime("%a %b %d %Y", time.gmtime(moment))


def _listed(files: Tree) -> str:
    """Return the files for the spec, and the folders that no package has which is always there."""
    lines = {f"/{name}" for name in files}
    for name in files:
        for folder in Path(name).parents:
            if {NAME, "zsh", "bash-completion"} & set(folder.parts):
                lines.add(f"%dir /{folder}")
    marks = {DOC: "%doc ", "usr/share/man": "%doc "}
    return "\n".join(
        next((mark for start, mark in marks.items() if line.startswith(f"/{start}/")), "") + line
        for line in sorted(lines, key=lambda line: line.removeprefix("%dir "))
    )


def _filled(path: Path, values: dict[str, str]) -> bytes:
    """Return a file of ours with values in the place of their names."""
    text = path.read_text("utf-8")
    for name, value in ({"VERSION": version(), "RELEASE": RELEASE} | values).items():
        text = text.replace(f"@{name}@", value)
    return text.encode()


def _copyright() -> bytes:
    """Return the licences of the product and of what it brings along, as Debian has them."""
    licence = (SOURCE / "LICENSE").read_text("utf-8")
    match = re.search(r"Copyright \(c\) (.*)", licence)
    assert match
    terms = licence[match.end() :].strip().splitlines()
    indented = "\n".join(f" {line}" if line else " ." for line in terms)
    return _filled(_HERE / "copyright", {"HOLDERS": match[1], "MIT": indented})


def _debian_changelog(moment: int) -> str:
    """Return the entry of this version: what has changed is in CHANGELOG.md."""
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(moment))
    entry = f"""\
        {NAME} ({version()}-{RELEASE}) unstable; urgency=medium

          * Version {version()}: see changelog.gz.

         -- The {NAME} developers <{NAME}@example.org>  {stamp}
        """
    return textwrap.dedent(entry)
