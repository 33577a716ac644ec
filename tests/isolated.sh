#!/bin/sh
# Runs a command as if it were alone on the machine: tests/isolated.sh COMMAND [ARGUMENT...]
#
# Tests count processes and sockets, by name too, name network namespaces, and take the lock of
# their user. In PID, network, IPC and mount namespaces of their own, with /proc, /dev/shm and
# /run/netns to match, nothing else of the machine is seen, and whatever they start ends with them.
# What an installation of ours has configured and loaded here is out of sight, too.
# Without root the command runs as it is.
set -eu
if [ "$(id -u)" -ne 0 ] || ! unshare --mount --pid --net --ipc --fork true 2>/dev/null; then
    exec "$@"
fi
# The shell stays, as process 1: tests expect that one to hold no sockets and to bury the dead.
exec unshare --mount --pid --net --ipc --fork --kill-child --mount-proc sh -c '
    mount -t tmpfs tmpfs /dev/shm
    umount --all --types nsfs
    mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns
    for ours in /etc/zabbix /run/zabbix-sockets; do
        [ ! -d "$ours" ] || mount -t tmpfs tmpfs "$ours"
    done
    ip link set lo up
    "$@"
' sh "$@"
