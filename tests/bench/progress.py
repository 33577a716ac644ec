"""Shows on stderr what is going on."""

import sys


class Progress:
    """One line that changes on a terminal; elsewhere a line for each new stage."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._stage = ""

    def show(self, stage: str, detail: str = "") -> None:
        """Say what is being done; *detail* is for terminals only."""
        if self._terminal:
            text = f"{stage}: {detail}" if detail else stage
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif stage != self._stage:
            print(stage, file=sys.stderr, flush=True)
        self._stage = stage

    def clear(self) -> None:
        """Make room for other output."""
        if self._terminal and self._stage:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        self._stage = ""
