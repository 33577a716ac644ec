#!/bin/sh
# Fetches what tests need of a network, unless it is there: tests/fetch.sh PYTHON
#
# Debian's trees, and the wheels that the packages bring along. Tests skip that lack one, with the
# reason; so what fails is said, and the other is fetched all the same.
export PYTHONPATH=tests/support
"$1" -m tests.systems.trees
"$1" -m tests.systems.packages
