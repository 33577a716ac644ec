#!/bin/sh
# Says what style and types have against the code: tests/lint.sh PYTHON
set -eux
"$1" -m ruff check .
"$1" -m ruff format --check .
"$1" -m mypy
