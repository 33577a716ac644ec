#!/bin/sh
# Runs all tests, in parts side by side: tests/all.sh PYTHON [PYTEST ARGUMENT...]
#
# Those with real servers mostly wait, those with the kernel mostly sleep. Each part is alone on the
# machine, as far as it can see. What it prints comes when it has ended; the status is 1 if any part
# failed.
set -u
python=$1
shift
logs=$(mktemp -d)

# run PART PATH...: in the background, with its output and status in files.
run() {
    part=$1
    shift
    (
        tests/isolated.sh "$python" -m pytest -p no:cacheprovider "$@" >"$logs/$part" 2>&1
        echo $? >"$logs/$part.status"
    ) &
}

run zabbix "$@" tests/zabbix --ignore-glob='*/test_send*'
run send "$@" tests/zabbix/test_send*.py
run kernel "$@" tests/kernel
run unit "$@" tests/unit tests/bench tests/test_conftest.py
wait
failed=0
for part in unit kernel zabbix send; do
    cat "$logs/$part"
    [ "$(cat "$logs/$part.status")" -eq 0 ] || failed=1
done
rm -r "$logs"
exit $failed
