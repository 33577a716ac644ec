"""All targets of the fuzzer, by name."""

from __future__ import annotations

from . import (
    answer_targets,
    container_targets,
    file_targets,
    kernel_targets,
    language_targets,
    proc_targets,
)
from .target import Target

TARGETS: dict[str, Target] = {
    **kernel_targets.TARGETS,
    **proc_targets.TARGETS,
    **container_targets.TARGETS,
    **file_targets.TARGETS,
    **language_targets.TARGETS,
    **answer_targets.TARGETS,
}
