#!/bin/sh
# Unpacks the daemons of the trial, with the libraries that few machines have, below .cache/trial.
# Nothing is installed: a machine that tests gets no service of its own. Once all is there this ends
# at once and needs no network.
set -eu
cd "$(dirname "$0")/../../.."
target=$PWD/.cache/trial

# Says that the folder is whole and what this file makes today.
mark=$(cksum <tests/zabbix/trial/fetch.sh)

[ "$(cat "$target/.mark" 2>/dev/null)" != "$mark" ] || exit 0
rm -rf "$target.new" && mkdir -p "$target.new/packages"
cd "$target.new/packages"
apt-get download -qq nginx redis-server redis-tools haproxy php8.2-fpm \
    gunicorn python3-gunicorn python3-pkg-resources \
    libjemalloc2 liblzf1 libatomic1 liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 \
    libargon2-1 libsodium23 libmagic1 libapparmor1 libacl1
for package in *.deb; do dpkg -x "$package" "$target.new"; done
rm -r "$target.new/packages"
echo "$mark" >"$target.new/.mark"
rm -rf "$target"
mv "$target.new" "$target"
