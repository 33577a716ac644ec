#!/bin/sh
# Has Ansible in an environment of its own, .cache/ansible. Once it is there this ends at once.
set -eu
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/ansible
[ ! -e "$cache/made" ] || exit 0
rm -rf "$cache"
# With a pip of its own, as that of .venv may just be replaced; most of it is never run, nor compiled.
"$PWD/.venv/bin/python" -m venv "$cache"
"$cache/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile ansible-core
touch "$cache/made"
