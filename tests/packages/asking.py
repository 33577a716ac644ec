"""Lines of shell that ask while packages are installed, in a tree that isn't booted."""

NOBODY = "setpriv --reuid 65534 --regid 65534 --clear-groups"

_ASK = """
rm -f "$tree/tmp/done"
ask() {
    until [ -e "$tree/tmp/done" ]; do
        answer=$(PLACE NOBODY zabbix-sockets get --timeout 20 2>&1) && status=0 || status=$?
        echo "$status $answer"
    done
}
ask >"$tree/tmp/answers.1" &
ask >"$tree/tmp/answers.2" &
STEPS
touch "$tree/tmp/done"
wait
cat "$tree/tmp/answers.1" "$tree/tmp/answers.2"
"""

# Two calls are stopped at some moment, before Python has started or later, and three while they
# hold the lock on the folder that they import from; one that has ended before is made again.
_STOPPED = """
begin() {
    PLACE zabbix-sockets get --timeout 60 >"$tree/tmp/stopped.$number" 2>&1 &
}
has_lock() {
    grep -q "FLOCK  *ADVISORY  *READ  *$! " /proc/locks
}
for number in 1 2 3 4 5; do
    begin
    if [ $number -le 2 ]; then
        sleep 0.00$((number * number * 2))
        kill -STOP $!
        continue
    fi
    until kill -STOP $! && has_lock; do
        kill -CONT $!
        readlink /proc/$!/exe >/dev/null || begin
    done
done
STEPS
kill -CONT $(jobs -p)
wait
cat "$tree"/tmp/stopped.*
"""


def asked_while(steps: str, place: str = "") -> str:
    """Return lines that ask in two loops, all the time while *steps* are done.

    Each line that they print is a status and an answer, for which there is time enough on a busy
    machine, without byte code, too. *place* is the command that enters the
    tree, if the lines don't run in it.
    """
    return _ASK.replace("PLACE", place).replace("NOBODY", NOBODY).replace("STEPS", steps)


def stopped_while(steps: str, place: str = "") -> str:
    """Return lines that begin five calls, stop them, do *steps*, and have the calls go on.

    They print the answers. *place* is as for asked_while().
    """
    return _STOPPED.replace("PLACE", place).replace("STEPS", steps)
