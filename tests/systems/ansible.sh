#!/bin/sh
# Has Ansible in an environment of its own, .cache/ansible. Once it is there this ends at once.
set -eu
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/ansible
[ ! -e "$cache/made" ] || exit 0
rm -rf "$cache"
"${PYTHON:-python3}" -m venv "$cache"
"$cache/bin/python" -m pip install --quiet --disable-pip-version-check ansible-core
touch "$cache/made"
