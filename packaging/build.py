"""Builds the packages: `python packaging/build.py [FOLDER [MACHINE...]]`.

For each machine (x86_64 and aarch64) a .deb, an .rpm and a .tar.gz, into FOLDER (dist/). Two
builds of one commit give the same bytes: all times in them are SOURCE_DATE_EPOCH, without it the
commit's, and without git a fixed one. It needs dpkg-deb and rpmbuild, and pip for the wheels that
are not in .cache/ yet.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from formats import MACHINES, build_deb, build_rpm, build_tar
from package_tree import SOURCE, common_tree

_CACHE = SOURCE / ".cache" / "wheels"
_WITHOUT_GIT = 946684800  # 2000-01-01


def source_moment() -> int:
    """Return the time that all files in the packages have, in Unix seconds."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    git = subprocess.run(
        ["git", "-C", SOURCE, "log", "-1", "--format=%ct"],
        capture_output=True,
        text=True,
        check=False,
    )
    return int(git.stdout) if git.returncode == 0 else _WITHOUT_GIT


def build(folder: Path, machines: Sequence[str]) -> list[Path]:
    """Write the packages for these machines into *folder*, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    moment = source_moment()
    made = []
    for machine in machines:
        tree = common_tree(machine, _CACHE)
        made += [make(tree, machine, moment, folder) for make in (build_deb, build_rpm, build_tar)]
    return made


def main(arguments: Sequence[str]) -> None:
    """Build what the command line asks for, and print what was made."""
    folder, *machines = arguments or ["dist"]
    for path in build(Path(folder), machines or MACHINES):
        print(f"{path.stat().st_size / 1e6:5.2f} MB  {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
