#!/bin/sh
# Fetches what tests need of a network, unless it is there: tests/fetch.sh PYTHON
#
# Debian's trees, the wheels that the packages bring along, and for all rounds other kernels. Tests skip
# that lack one, with the reason; so what fails is said, and the others are fetched all the same.
export PYTHONPATH=tests/support:packaging
"$1" -m tests.systems.trees
"$1" -m tests.systems.packages
[ "${TEST_ROUNDS:-short}" = short ] || tests/kernels/fetch.sh bullseye bookworm trixie forky
