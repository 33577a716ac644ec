"""The files of a package, as they lie on a host, the same in each format.

Those of one version are below /usr/lib/zabbix-sockets/VERSION: the code, orjson in a folder for
each Python (called as that one calls itself: sys.implementation.cache_tag), tomli, start.py and
maintain.
"""

import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wheels import PYTHONS, Wheel, wheels_for

SOURCE = Path(__file__).resolve().parent.parent
ROOT = Path(__file__).with_name("root")
GENERATED = Path(__file__).with_name("generated")
NAME = "zabbix-sockets"
HOME = f"usr/lib/{NAME}"
SHARE = f"usr/share/{NAME}"
DOC = f"usr/share/doc/{NAME}"
UNITS = "usr/lib/systemd/system"
TEMPLATES = (
    "sockets_by_zabbix_agent",
    "sockets_by_zabbix_agent_active",
    "sockets_by_zabbix_trapper",
)

_CODE = SOURCE / "src" / "zabbix_sockets"
_PAGES = (SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md")))
_LINK = re.compile(r"(!?)\[([^]]*)\]\(([\w-]*[./][\w./-]*)(#[^)\s]*)?\)")
"""A link to a file, whose name has a dot or a slash: an address elsewhere has a colon."""
_MANUAL = {
    f"{NAME}.8": (f"usr/share/man/man8/{NAME}.8.gz", True),
    f"{NAME}.bash": (f"usr/share/bash-completion/completions/{NAME}", False),
    f"_{NAME}": (f"usr/share/zsh/vendor-completions/_{NAME}", False),  # Debian's; formats.py
}
"""Where the files of manual.py lie, and whether they are compressed there."""

_NOT_CODE = (
    "*.pyc",
    "*.c",
    "build.sh",
    "py.typed",
)  # what only those who change or type-check need


class Entry(NamedTuple):
    """A file: its mode, and its content."""

    mode: int
    content: bytes


Tree = dict[str, Entry]
"""Files by their paths below /, sorted."""


def version() -> str:
    """Return the version of the source tree."""
    match = re.search(r'__version__ = "(.*)"', (_CODE / "version.py").read_text("utf-8"))
    assert match
    return match[1]


def common_tree(machine: str, cache: Path) -> Tree:
    """Return the files for *machine* (x86_64 or aarch64) that each format has.

    Wheels are taken from the folder *cache*, or fetched.
    """
    found: Tree = {f"usr/bin/{NAME}": _plain(ROOT / NAME)}
    found.update(_version_folder(f"{HOME}/{version()}", machine, cache))
    found.update(_shared())
    for name, (path, is_zipped) in _MANUAL.items():
        file = GENERATED / name
        found[path] = zipped(file.read_bytes()) if is_zipped else _plain(file)
    return dict(sorted(found.items()))


def zipped(content: bytes) -> Entry:
    """Return a file with this content, compressed, without a time or a name in it."""
    return Entry(0o644, gzip.compress(content, mtime=0))


def _version_folder(folder: str, machine: str, cache: Path) -> Tree:
    found = {f"{folder}/start.py": _plain(ROOT / "start.py")}
    found[f"{folder}/maintain"] = _plain(ROOT / "maintain")
    for path in _files_below(_CODE):
        if not any(path.match(pattern) for pattern in _NOT_CODE):
            found[f"{folder}/zabbix_sockets/{path.relative_to(_CODE)}"] = _plain(path)
    for python in PYTHONS:
        for wheel in wheels_for(python, machine, cache):
            home = f"{folder}/{_cache_tag(python)}" if wheel.pin.name == "orjson" else folder
            found |= {f"{home}/{name}": Entry(0o644, text) for name, text in wheel.files.items()}
    return found


def _cache_tag(python: str) -> str:
    return "cpython-" + python.replace(".", "")


def _shared() -> Tree:
    """Return units, files for agents, templates and documentation."""
    found = {}
    for path in _files_below(SOURCE / "conf"):
        if path.name in _NOT_CODE:
            continue
        name = str(path.relative_to(SOURCE / "conf"))
        found[f"{SHARE}/conf/{name}"] = _plain(path)
        # Of conf/systemd the units are installed; drop-ins are for those who choose them.
        if path.parent.name == "systemd" and path.suffix != ".conf":
            found[f"{UNITS}/{path.name}"] = _plain(path)
    templates = SOURCE / "zabbix_templates"
    for path in [templates / "README.md", *(templates / name for name in TEMPLATES)]:
        for file in _files_below(path):
            found[f"{SHARE}/zabbix_templates/{file.relative_to(templates)}"] = _plain(file)
    for path in _PAGES:
        found[f"{DOC}/{path.relative_to(SOURCE)}"] = Entry(0o644, _page(path).encode())
    return found


def _page(path: Path) -> str:
    """Return a page without pictures, and without links to files that no host has.

    Those to templates lead to where they are installed. Nothing is asked of the other files: a
    checkout may lack some, as the tests.
    """
    templates = SOURCE / "zabbix_templates"

    def on_a_host(link: re.Match[str]) -> str:
        target = (path.parent / link[3]).resolve()
        if target in _PAGES:
            return link[0]
        if link[1]:
            return f"(Picture: {link[2]})"
        if templates in target.parents:
            return f"[{link[2]}](/{SHARE}/{target.relative_to(SOURCE)}{link[4] or ''})"
        return link[2]

    return _LINK.sub(on_a_host, path.read_text("utf-8"))


def licences(cache: Path) -> Iterator[Wheel]:
    """Yield a wheel of each project that a package brings along, for its licences."""
    wheels = [wheel for python in PYTHONS for wheel in wheels_for(python, "x86_64", cache)]
    yield from {wheel.pin.name: wheel for wheel in wheels}.values()


def _files_below(path: Path) -> list[Path]:
    return sorted(each for each in (path, *path.rglob("*")) if each.is_file())


def _plain(path: Path) -> Entry:
    """Return a file of ours, which may be run if it is a program."""
    content = path.read_bytes()
    return Entry(0o755 if content.startswith(b"#!") else 0o644, content)


def write(tree: Tree, folder: Path, moment: int) -> None:
    """Write the files below a folder that is empty, all with the time *moment*, in Unix seconds."""
    for name, entry in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(entry.content)
        path.chmod(entry.mode)
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
        os.utime(path, (moment, moment), follow_symlinks=False)
