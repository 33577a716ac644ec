#!/bin/sh
# Runs all tests, in parts side by side: tests/all.sh PYTHON [PYTEST ARGUMENT...]
#
# Those with real servers mostly wait, so there are more parts than cores, each as long as the
# others. Each is alone on the machine, as far as it can see. What it prints comes when it has ended,
# its slowest tests in the end; the status is 1 if any part failed.
set -u
python=$1
shift
logs=$(mktemp -d)
started=$(date +%s)
parts=

# run PART PATH...: in the background, with its output and status in files.
run() {
    part=$1
    shift
    parts="$parts $part"
    (
        tests/isolated.sh "$python" -m pytest -p no:cacheprovider --durations=25 "$@" \
            >"$logs/$part" 2>&1
        echo $? >"$logs/$part.status"
        echo "== $part: $(($(date +%s) - started)) s ==" >>"$logs/$part"
    ) &
}

zabbix=tests/zabbix
run servers "$@" $zabbix --ignore=$zabbix/alarms --ignore-glob='*/test_send*' \
    --ignore-glob='*/test_provision*' --ignore=$zabbix/test_scale.py --ignore=$zabbix/test_upgrade.py
run provision "$@" $zabbix/test_provision*.py $zabbix/test_scale.py $zabbix/test_upgrade.py
# shellcheck disable=SC2046  # names of files
run send "$@" $(ls $zabbix/test_send*.py | grep -v '_outages\|_unit')
run units "$@" $zabbix/test_send_outages.py $zabbix/test_send_unit.py
run alarms "$@" $zabbix/alarms
run kernel "$@" tests/kernel
run unit "$@" tests/unit tests/bench tests/test_conftest.py
wait
failed=0
for part in $parts; do
    cat "$logs/$part"
    [ "$(cat "$logs/$part.status")" -eq 0 ] || failed=1
done
rm -r "$logs"
exit $failed
