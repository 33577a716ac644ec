#!/bin/sh
# Runs all tests and lint, in parts side by side: tests/all.sh PYTHON [PYTEST ARGUMENT...]
#
# Those with real servers or systems mostly wait, so there are more parts at a time than cores, the
# longest first, so that short ones fill the end; but no more than keep the cores busy, as all the
# others would only wait longer. Each is alone on the machine, as far as it can see. What it prints
# comes when all have ended, its slowest tests in the end; the status is 1 if any part failed.
set -u
at_a_time=$((2 * $(nproc) + 1))
python=$1
shift
logs=$(mktemp -d)
started=$(date +%s)
parts=

# A part runs while it has one of the lines of this pipe, which it gives back. Of those that wait
# most, `trees`, `systems` and `upgrades`, none is taken.
mkfifo "$logs/turns"
exec 3<>"$logs/turns"
for _ in $(seq "$at_a_time"); do
    echo >&3
done

# run PART PATH...: when it is its turn, in the background, with its output and status in files.
run() {
    parts="$parts $1"
    read -r _ <&3
    run_in_turn "$@" &
}

run_in_turn() {
    isolated_pytest "$@"
    echo >&3
}

isolated_pytest() {
    log=$1
    shift
    timed "$log" tests/isolated.sh "$python" -m pytest -p no:cacheprovider --durations=25 --tb=short "$@"
}

timed() {
    log=$1
    shift
    begun=$(($(date +%s) - started))
    "$@" >"$logs/$log" 2>&1 3>&-
    echo $? >"$logs/$log.status"
    times >"$logs/$log.times" # of this shell, then of its children: user and system
    echo "== $log: from $begun s to $(($(date +%s) - started)) s," \
        "CPU $(sed -n '2s/ / + /p' "$logs/$log.times") ==" >>"$logs/$log"
}

# run_on_trees: the parts that need what comes from a network: Debian's trees, the wheels that the
# packages bring along, and with all rounds other kernels. Tests that lack a tree skip with the
# reason. They begin when it is there; packages and kernels wait for their turn, too.
run_on_trees() {
    parts="$parts trees systems upgrades packages"
    [ "${TEST_ROUNDS:-short}" = short ] || parts="$parts kernels"
    {
        {
            tests/fetch.sh "$python"
            echo "== trees: $(($(date +%s) - started)) s =="
        } >"$logs/trees" 2>&1
        echo 0 >"$logs/trees.status"
        { read -r _ <&3 && run_in_turn packages "$@" tests/packages; } &
        [ "${TEST_ROUNDS:-short}" = short ] ||
            { read -r _ <&3 && run_in_turn kernels "$@" tests/kernels; } &
        systems=tests/systems
        isolated_pytest systems "$@" $systems \
            --ignore=$systems/test_sender.py --ignore=$systems/test_upgrade.py \
            --ignore=$systems/test_names.py &
        isolated_pytest upgrades "$@" $systems/test_upgrade.py $systems/test_sender.py \
            $systems/test_names.py &
        wait
    } &
}

lint() {
    timed lint env -u PYTHONWARNINGS tests/lint.sh "$python"
    echo >&3
}

zabbix=tests/zabbix
short_soak=$zabbix/soak
many=
[ "${TEST_ROUNDS:-short}" = short ] || { short_soak= && many=tests/kernel/test_hostile_many.py; }
run_on_trees "$@"
run kernel "$@" tests/kernel ${many:+--ignore=$many}
parts="$parts lint"
read -r _ <&3
lint &
# shellcheck disable=SC2046  # names of files
run send "$@" $(ls $zabbix/test_send*.py) $zabbix/test_setup.py
run servers "$@" $zabbix --ignore=$zabbix/alarms --ignore=$zabbix/trial --ignore=$zabbix/soak \
    --ignore-glob='*/test_send*' \
    --ignore-glob='*/test_provision*' --ignore=$zabbix/test_scale.py --ignore=$zabbix/test_upgrade.py \
    --ignore-glob='*/test_check*' --ignore=$zabbix/test_setup.py \
    --ignore=$zabbix/test_external_check.py --ignore=$zabbix/test_silence.py \
    --ignore=$zabbix/test_flood.py
# shellcheck disable=SC2086  # nothing, with all rounds
run trial "$@" $zabbix/trial $zabbix/test_silence.py $zabbix/test_flood.py $short_soak
run alarms "$@" $zabbix/alarms $zabbix/test_external_check.py
# shellcheck disable=SC2046
run api "$@" $(ls $zabbix/test_check*.py $zabbix/test_provision*.py) $zabbix/test_scale.py \
    $zabbix/test_upgrade.py
unit=tests/unit
verbs="$unit/command $unit/provision $unit/sending $unit/service_map $unit/setup"
# shellcheck disable=SC2086  # several folders
run verbs "$@" $verbs
run faults "$@" $unit/rig $unit/check
# shellcheck disable=SC2046
run unit "$@" $unit --ignore=$unit/rig --ignore=$unit/check $(printf -- '--ignore=%s ' $verbs)
run others "$@" tests/fuzz tests/bench tests/selinux tests/test_conftest.py
wait
# A hundred thousand listeners take all the room for totals, in whatever namespace these are loaded.
[ -z "$many" ] || { parts="$parts many" && isolated_pytest many "$@" "$many" 3>&-; }
# Whether something is late, or grows, can be told where nothing else runs.
[ -n "$short_soak" ] || { parts="$parts soak" && isolated_pytest soak "$@" $zabbix/soak 3>&-; }
failed=0
for part in $parts; do
    cat "$logs/$part"
    [ "$(cat "$logs/$part.status")" -eq 0 ] || failed=1
done
rm -r "$logs"
exit $failed
