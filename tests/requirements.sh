#!/bin/sh
# Installs what `make run` and `make test` need from Debian. Without root, or on another
# distribution, it only names what is missing: the tests that need it skip with that reason.
#
#   tests/requirements.sh venv PYTHON   what making the environment needs
#   tests/requirements.sh packages      what building the packages needs
#   tests/requirements.sh               what the tests need
set -eu

# have FILE...: true when all of them exist.
have() {
    for file; do
        [ -e "$file" ] || return 1
    done
}

# install PACKAGE...: the packages that are not installed yet, with one apt-get call.
install() {
    missing=
    for package; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "not root, or no apt-get; not installed:$missing" >&2
        return 0
    fi
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

if [ "${1:-}" = venv ]; then
    "$2" -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    exit
fi

if [ "${1:-}" = packages ]; then
    install rpm
    exit
fi

# What runs beside the tests, and what compiles, boots, or joins a module with a policy and asks that.
# For Zabbix: libraries of programs that are unpacked and never installed (agents; servers and proxies;
# PostgreSQL), and what runs and shows the frontend.
install iproute2 sudo util-linux lsof net-tools gcc libc6-dev \
    clang llvm libbpf-dev libbpf1 podman runc busybox-static \
    openssl systemd libseccomp2 systemd-container mmdebstrap rpm lintian rpmlint zsh groff-base \
    checkpolicy semodule-utils setools bzip2 \
    libcurl3-gnutls libgnutls30 libldap-2.5-0 libmodbus5 libpcre2-8-0 libsqlite3-0 libssl3 zlib1g \
    libevent-2.1-7 libevent-extra-2.1-7 libevent-pthreads-2.1-7 libodbc2 libopenipmi0 libsnmp40 \
    libssh2-1 libxml2 libpq5 liblz4-1 libreadline8 \
    php8.2-cli php8.2-bcmath php8.2-gd php8.2-mbstring php8.2-pgsql php8.2-xml \
    chromium fonts-dejavu-core

# Other kernels, which only all rounds try (tests/kernels).
[ "${TEST_ROUNDS:-short}" = short ] || install qemu-system-x86

# unpack_docker: beside what else is unpacked; a machine that tests gets no service of its own.
unpack_docker() {
    docker=$(dirname "$0")/../.cache/docker
    if ! command -v dockerd >/dev/null && [ ! -x "$docker/usr/sbin/dockerd" ] && command -v apt-get >/dev/null; then
        mkdir -p "$docker/packages"
        (cd "$docker/packages" && apt-get download -qq docker.io containerd) &&
            for package in "$docker"/packages/*.deb; do dpkg -x "$package" "$docker"; done ||
            echo "no docker unpacked: its tests skip" >&2
        rm -rf "$docker/packages"
    fi
}

# They wait for a network and unpack, each for itself.
{ tests/zabbix/fetch.sh || echo "no Zabbix programs unpacked: their tests skip" >&2; } &
{ tests/zabbix/trial/fetch.sh || echo "no daemons unpacked: the trial skips" >&2; } &
if [ "${TEST_ROUNDS:-short}" != short ]; then # the short form has no test of it
    { tests/systems/ansible.sh || echo "no Ansible: its test skips" >&2; } &
fi
{ tests/selinux/fetch.sh || echo "no SELinux policy unpacked: its tests skip" >&2; } &
unpack_docker &
wait
if [ "$(id -u)" -eq 0 ] && ! id zabbix >/dev/null 2>&1; then
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin zabbix
fi
