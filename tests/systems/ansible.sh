#!/bin/sh
# Has Ansible in an environment of its own, .cache/ansible. Once it is there this ends at once.
set -eu
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/ansible
python=$PWD/.venv/bin/python # whose pip installs it: most of it is never run, nor compiled
[ ! -e "$cache/made" ] || exit 0
rm -rf "$cache"
"$python" -m venv --without-pip "$cache"
"$python" -m pip --python "$cache/bin/python" install --quiet --disable-pip-version-check --no-compile ansible-core
touch "$cache/made"
