"""docs/architecture.md says of the modules what is so."""

import re
from pathlib import Path

import pytest
from modules import MODULES, PACKAGE, own_imports

SOURCE = Path(__file__).parents[2]
PAGE = (SOURCE / "docs" / "architecture.md").read_text("utf-8")
GUIDE = (SOURCE / "CONTRIBUTING.md").read_text("utf-8")
BOX = re.compile(r'^    (\w+)\["(.*)"\]$', re.MULTILINE)
ARROWS = re.compile(r"^    (\w+) --> (.*)$", re.MULTILINE)
UNDRAWN = {"__init__", "__main__"}
"""The public names, and the command's entry: both only import."""


def modules_of(label: str) -> set[str]:
    """Return the modules that a box's label names: `folder/: module, module; module`."""
    found = set()
    for part in label.split("; "):
        folder, _, names = part.rpartition(": ")
        found |= {(folder + name).replace("/", ".") for name in names.split(", ")}
    return found


BOXES = {box: modules_of(label) for box, label in BOX.findall(PAGE)}
BOX_OF = {module: box for box, modules in BOXES.items() for module in modules}


def test_each_module_is_in_one_box() -> None:
    """The picture has all modules, and none twice."""
    files = {name for name, path in MODULES.items() if path.name != "__init__.py"} - UNDRAWN
    assert sorted(module for modules in BOXES.values() for module in modules) == sorted(files)


def test_arrows_are_imports() -> None:
    """There is an arrow where a part imports another one, and nowhere else."""
    drawn = {(start, end) for start, ends in ARROWS.findall(PAGE) for end in ends.split(" & ")}
    imports = {
        (box, BOX_OF[name])
        for module, box in BOX_OF.items()
        for name in own_imports(MODULES[module])
        if name in BOX_OF
    }
    assert drawn == {(start, end) for start, end in imports if end not in (start, "model")}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:src|tests|docs)/[\w/.]+)`", PAGE))))
def test_files_of_the_page(path: str) -> None:
    """What a question is answered with is there."""
    assert (SOURCE / path).exists()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+\w+\.(?:py|bpf\.h))`", GUIDE))))
def test_files_of_the_guide(path: str) -> None:
    """The same goes for CONTRIBUTING.md, whose questions are answered with modules."""
    assert (PACKAGE / path).exists()
