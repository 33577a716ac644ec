"""The modules of the package, and what each imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType

import zabbix_sockets

PACKAGE = Path(zabbix_sockets.__file__).parent


def name_of(path: Path) -> str:
    """Return a module's name within the package; the package itself is __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a module, which nobody may change."""
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path, *, at_once: bool = False) -> Iterator[str]:
    """Yield all that a module imports, by whole names; *at_once*: but for what functions do."""
    tree = tree_of(path)
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = inner.partition("zabbix_sockets.")[2] in MODULES
                yield inner if is_module else node.module or ""


def qualified_name(code: CodeType) -> str:
    """Return a function's name with its class's; before Python 3.11 without."""
    name: str = getattr(code, "co_qualname", code.co_name)
    return name


@cache
def own_imports(path: Path, *, at_once: bool = False) -> frozenset[str]:
    """Return the modules of this package that a module imports."""
    prefix = "zabbix_sockets"
    own = {name for name in imports(path, at_once=at_once) if name.split(".")[0] == prefix}
    return frozenset(name.removeprefix(prefix).lstrip(".") or "__init__" for name in own)
