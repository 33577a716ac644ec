#!/bin/sh
# Unpacks the agents, senders and zabbix_get of Zabbix 6.0 and 7.0 below .cache/zabbix/VERSION.
# Nothing is installed: two versions can't be, and no test should change the machine's
# own agent. Once both are there this ends at once and needs no network.
set -eu
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/zabbix

# Debian 12 has both: 6.0 itself, 7.0 among its backports.
release=bookworm

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

# unpack VERSION SUITE: into a name of its own first, so that the final name means whole.
# zabbix_get comes with the proxy, the smallest package that has it.
unpack() {
    new=$cache/$1.new
    rm -rf "$new" && mkdir -p "$new/packages"
    (cd "$new/packages" && private_apt download \
        "zabbix-agent/$2" "zabbix-agent2/$2" "zabbix-proxy-sqlite3/$2")
    for package in "$new"/packages/*.deb; do
        case "$(dpkg-deb -f "$package" Version)" in
            *:"$1".*) dpkg -x "$package" "$new" ;;
            *) echo "$2 has another version than $1: $package" >&2 && return 1 ;;
        esac
    done
    rm -r "$new/packages"
    mv "$new" "$cache/$1"
}

if [ -e "$cache/6.0" ] && [ -e "$cache/7.0" ]; then
    exit
fi
mirror=$(own_mirror | head -n 1)
if [ -z "$mirror" ] || ! command -v dpkg >/dev/null; then
    echo "apt has no source for Debian $release: no Zabbix agents for the tests" >&2
    exit
fi
uri=${mirror%% *} keyring=${mirror#* }
rm -rf "$cache/apt" && mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
for suite in "$release" "$release-backports"; do
    echo "deb ${keyring:+[signed-by=$keyring] }$uri $suite main"
done >"$cache/apt/sources.list"
private_apt update
[ -e "$cache/6.0" ] || unpack 6.0 "$release"
[ -e "$cache/7.0" ] || unpack 7.0 "$release-backports"
rm -r "$cache/apt"
