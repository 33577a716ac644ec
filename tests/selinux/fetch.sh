#!/bin/sh
# Unpacks Debian's SELinux policy below .cache/selinux. It is not installed, as no test should change
# how this machine is set up. Once it is there this ends at once and needs no network.
set -eu
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/selinux
[ ! -e "$cache/usr/share/selinux/default/base.pp.bz2" ] || exit 0
rm -rf "$cache" "$cache.new" && mkdir -p "$cache.new"
(cd "$cache.new" && apt-get -qq -o APT::Sandbox::User=root download selinux-policy-default)
dpkg -x "$cache.new"/selinux-policy-default_*.deb "$cache.new"
rm "$cache.new"/*.deb
mv "$cache.new" "$cache"
