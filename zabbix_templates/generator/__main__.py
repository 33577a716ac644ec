"""Write the templates, their READMEs and the pages made of them anew: `make templates`."""

import sys
from pathlib import Path

from .files import generated

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Write what has changed."""
    for path, text in generated().items():
        file = ROOT / path
        if not file.exists() or file.read_text() != text:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
