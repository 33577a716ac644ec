#!/bin/sh
# Unpacks Zabbix 6.0 and 7.0 below .cache/zabbix/VERSION, and PostgreSQL beside them.
# Nothing is installed: two versions can't be, and no test should change the machine's own
# agent, or leave it with one more service. Once all is there this ends at once and needs
# no network.
set -eu
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/zabbix

# Debian 12 has both: 6.0 itself, 7.0 among its backports.
release=bookworm

# Says of a directory that it is whole and what this file makes today.
mark=$(cksum <tests/zabbix/fetch.sh)

# The first "URI KEYRING" of this machine's own apt sources that serves $release with
# its component main; both formats of sources.list(5), the mirror is the machine's choice.
own_mirror() {
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v release="$release" '
        function print_stanza() {
            if (types ~ / deb / && suites ~ " " release " " && components ~ / main / && !disabled)
                print uri, keyring
            types = suites = components = uri = keyring = disabled = ""
        }
        /^#/ { next }
        /^[ \t]*$/ { print_stanza() }
        tolower($1) == "types:" { types = $0 " " }
        tolower($1) == "suites:" { suites = $0 " " }
        tolower($1) == "components:" { components = $0 " " }
        tolower($1) == "uris:" { uri = $2 }
        tolower($1) == "signed-by:" { keyring = $2 }
        tolower($1) == "enabled:" { disabled = $2 == "no" }
        END { print_stanza() }'
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk -v release="$release" '
        $1 == "deb" {
            keyring = ""
            if (match($0, /signed-by=[^] ]*/)) keyring = substr($0, RSTART + 10, RLENGTH - 10)
            sub(/\[[^]]*\]/, "")
            if ($3 == release && $0 " " ~ / main /) print $2, keyring
        }'
}

# An apt of our own: its lists and its cache, but the machine's keys, proxy and credentials.
private_apt() {
    apt-get -qq \
        -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o Dir::Etc::sourcelist="$cache/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State::lists="$cache/apt/lists" -o Dir::Cache="$cache/apt" \
        "$@"
}

# whole DIRECTORY
whole() {
    [ "$(cat "$cache/$1/.mark" 2>/dev/null)" = "$mark" ]
}

# unpack DIRECTORY SUITE VERSION PACKAGE...: into a name of its own first, so that what there
# is stays until there is better.
unpack() {
    directory=$1 suite=$2 version=$3
    shift 3
    new=$cache/$directory.new
    rm -rf "$new" && mkdir -p "$new/packages"
    for package; do
        set -- "$@" "$package/$suite"
        shift
    done
    (cd "$new/packages" && private_apt download "$@")
    for package in "$new"/packages/*.deb; do
        case "$(dpkg-deb -f "$package" Version)" in
            "$version".*) dpkg -x "$package" "$new" ;;
            *) echo "$suite has another version than $version: $package" >&2 && return 1 ;;
        esac
    done
    rm -r "$new/packages"
    [ ! -e "$new/usr/share/zabbix" ] || configure_frontend "$new/usr/share/zabbix"
    echo "$mark" >"$new/.mark"
    rm -rf "${cache:?}/$directory"
    mv "$new" "$cache/$directory"
}

# configure_frontend DIRECTORY: the packaged frontend reads its configuration below /etc;
# this one includes the file that an environment variable names. Its fonts are links to
# the directory beside it.
configure_frontend() {
    path="__DIR__.'/../../../conf/zabbix.conf.php'"
    sed -i "s|'/etc/zabbix/zabbix.conf.php'|$path|" "$1/include/classes/core/CConfigFile.php"
    grep -qF "CONFIG_FILE_PATH = $path" "$1/include/classes/core/CConfigFile.php"
    echo "<?php include getenv('ZABBIX_FRONTEND_CONF');" >"$1/conf/zabbix.conf.php"
    ln -s /usr/share/fonts "$1/../fonts"
}

if whole 6.0 && whole 7.0 && whole postgresql; then
    exit
fi
mirror=$(own_mirror | head -n 1)
if [ -z "$mirror" ] || ! command -v dpkg >/dev/null; then
    echo "apt has no source for Debian $release: no Zabbix programs for the tests" >&2
    exit
fi
uri=${mirror%% *} keyring=${mirror#* }
rm -rf "$cache/apt" && mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
for suite in "$release" "$release-backports"; do
    echo "deb ${keyring:+[signed-by=$keyring] }$uri $suite main"
done >"$cache/apt/sources.list"
private_apt update
# zabbix_get comes with server and proxy; zabbix_sender with the 6.0 agent.
packages="zabbix-agent zabbix-agent2 zabbix-proxy-sqlite3 zabbix-server-pgsql zabbix-frontend-php"
# shellcheck disable=SC2086  # a list of names
{
    whole 6.0 || unpack 6.0 "$release" 1:6.0 $packages
    whole 7.0 || unpack 7.0 "$release-backports" 1:7.0 $packages zabbix-sender
    whole postgresql || unpack postgresql "$release" 15 postgresql-15 postgresql-client-15
}
rm -r "$cache/apt"
