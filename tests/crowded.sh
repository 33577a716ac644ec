#!/bin/sh
# Runs a command on a machine that is busy and full of others: tests/crowded.sh COMMAND [ARGUMENT...]
#
# What no test may notice: a hundred network namespaces, half of them with names; processes that are
# called as the tests' own, with sockets; programs of Zabbix in PATH; a broken configuration of ours
# in /etc/zabbix; two busy CPUs; and a command that is started with ignored signals, another umask,
# locale, time zone and home, and no standard input. As root; all ends with the command.
set -eu
[ -n "${CROWDED:-}" ] || CROWDED=1 exec unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
unset CROWDED

others=$(mktemp -d)
python=$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')
mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns

# stranger NAME [COMMAND...]: a process of that name with a few sockets, by COMMAND elsewhere.
stranger() {
    name=$1
    shift
    [ -e "$others/$name" ] || ln -s "$python" "$others/$name"
    "$@" "$others/$name" -I -c '
import signal, socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
held += [socket.create_connection(held[0].getsockname()) for _ in range(3)]
signal.pause()' &
}

for number in $(seq 50); do
    ip netns add "crowd-$number"
    ip -n "crowd-$number" link set lo up
    stranger crowd ip netns exec "crowd-$number"
    stranger python3 unshare --net sh -c 'ip link set lo up && exec "$@"' sh
done
for name in zabbix_agentd zabbix_agent2 zabbix_server zabbix_sender stable grouped inhabitant \
    tablemate behind web zs zs-of-root nginx unit-terminal; do
    stranger "$name"
done

# Programs that are installed: each test has its own, and fails with these.
mkdir "$others/bin"
for name in zabbix_sender zabbix_get zabbix_agentd zabbix_server; do
    printf '#!/bin/sh\necho "the machine has its own %s" >&2\nexit 1\n' "$name" >"$others/bin/$name"
    chmod +x "$others/bin/$name"
done
mount -t overlay overlay -o "lowerdir=$others/bin:/usr/bin" /usr/bin 2>/dev/null ||
    echo "no overlay: no foreign programs in /usr/bin" >&2

# What an installation of ours has here: each call that reads this file fails.
[ -d /etc/zabbix ] || { mkdir /etc/zabbix && made=/etc/zabbix; }
mount -t tmpfs tmpfs /etc/zabbix
echo 'the machine has its own' >/etc/zabbix/zabbix-sockets.toml

for _ in 1 2; do
    sh -c 'while :; do :; done' &
done

trap '' INT HUP PIPE QUIT TERM
umask 077
status=0
env LC_ALL=C LANG=cs_CZ.ISO-8859-2 TZ=Pacific/Chatham HOME="$others/home" COLUMNS=20 NO_COLOR=1 \
    ZABBIX_TOKEN=0 ZABBIX_USER=nobody http_proxy=http://127.0.0.1:9 PYTHONWARNINGS=error \
    NOTIFY_SOCKET="$others/none" STATE_DIRECTORY="$others/state" "$@" <&- || status=$?
rm -rf "$others" 2>/dev/null || true
[ -z "${made:-}" ] || { umount "$made" && rmdir "$made"; } || true
exit $status
