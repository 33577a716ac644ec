#!/bin/sh
# Compiles the policy module: conf/selinux/build.sh [FOLDER], by default into this one.
#
# Needs Debian's checkpolicy and semodule-utils. Version 19 of the format is the newest that RHEL 8
# reads (libsepol 2.9).
set -eu
source=$(cd "$(dirname "$0")" && pwd)
target=$(cd "${1:-$source}" && pwd)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
checkmodule -M -m -c 19 -o "$work/zabbix_sockets.mod" "$source/zabbix_sockets.te"
semodule_package -o "$target/zabbix_sockets.pp" -m "$work/zabbix_sockets.mod" -f "$source/zabbix_sockets.fc"
