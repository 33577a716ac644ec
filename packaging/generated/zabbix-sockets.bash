# bash completion for zabbix-sockets(8), made by packaging/manual.py

# Sets offer to what compgen is to offer as the value of an option, nothing where it can't know; fails
# if the option takes none.
_zabbix_sockets_value() {
    case "$1 $2" in
    "get --source") offer=(-W "bpf sock_diag procfs") ;;
    "get --timeout") offer=() ;;
    "get --netns") offer=(-W "all own") ;;
    "get --filter") offer=() ;;
    "get --group-by") offer=(-W "process unit container user") ;;
    "get --config") offer=(-f) ;;
    "get --pins") offer=(-d) ;;
    "get --max-bytes") offer=() ;;
    "get --active-within") offer=(-W "10 30 60 120 300 600 3600") ;;
    "discover --source") offer=(-W "bpf sock_diag procfs") ;;
    "discover --timeout") offer=() ;;
    "discover --netns") offer=(-W "all own") ;;
    "discover --filter") offer=() ;;
    "discover --group-by") offer=(-W "process unit container user") ;;
    "discover --config") offer=(-f) ;;
    "discover --pins") offer=(-d) ;;
    "discover --max-bytes") offer=() ;;
    "count --source") offer=(-W "bpf sock_diag procfs") ;;
    "count --timeout") offer=() ;;
    "count --netns") offer=(-W "all own") ;;
    "count --filter") offer=() ;;
    "count --group-by") offer=(-W "process unit container user") ;;
    "count --config") offer=(-f) ;;
    "count --pins") offer=(-d) ;;
    "send --source") offer=(-W "bpf sock_diag procfs") ;;
    "send --timeout") offer=() ;;
    "send --netns") offer=(-W "all own") ;;
    "send --filter") offer=() ;;
    "send --group-by") offer=(-W "process unit container user") ;;
    "send --config") offer=(-f) ;;
    "send --pins") offer=(-d) ;;
    "send --max-bytes") offer=() ;;
    "send --active-within") offer=(-W "10 30 60 120 300 600 3600") ;;
    "send --agent-config") offer=(-f) ;;
    "send --server") offer=() ;;
    "send --port") offer=() ;;
    "send --host") offer=() ;;
    "send --source-address") offer=() ;;
    "send --tls-connect") offer=(-W "unencrypted psk cert") ;;
    "send --tls-ca-file") offer=(-f) ;;
    "send --tls-crl-file") offer=(-f) ;;
    "send --tls-server-cert-issuer") offer=() ;;
    "send --tls-server-cert-subject") offer=() ;;
    "send --tls-cert-file") offer=(-f) ;;
    "send --tls-key-file") offer=(-f) ;;
    "send --tls-psk-identity") offer=() ;;
    "send --tls-psk-file") offer=(-f) ;;
    "send --tls-cipher13") offer=() ;;
    "send --tls-cipher") offer=() ;;
    "send --values") offer=() ;;
    "send --interval") offer=() ;;
    "send --send-timeout") offer=() ;;
    "send --spool") offer=(-f) ;;
    "send --spool-size") offer=() ;;
    "show --source") offer=(-W "bpf sock_diag procfs") ;;
    "show --timeout") offer=() ;;
    "show --netns") offer=(-W "all own") ;;
    "show --filter") offer=() ;;
    "show --group-by") offer=(-W "process unit container user") ;;
    "show --config") offer=(-f) ;;
    "show --pins") offer=(-d) ;;
    "show --active-within") offer=(-W "10 30 60 120 300 600 3600") ;;
    "show --interval") offer=() ;;
    "show --count") offer=() ;;
    "show --sort") offer=(-W "process procs sockets listen estab in out close-wait udp recv-q send-q accept% drops fds% listener container socket-unit syn-recv time-wait accept-q backlog proto address port netns syn-sent ports% rtt-p50 rtt-p95 retrans% opened/s accepted/s failed/s sent/s recv/s retr/s resets/s handshake lifetime client conns fin-wait last-ack rtt-max") ;;
    "show --protocol") offer=(-W "tcp udp unix") ;;
    "show --state") offer=(-W "all established syn_sent syn_recv fin_wait1 fin_wait2 time_wait close close_wait last_ack listen closing connected bound") ;;
    "setup --server") offer=() ;;
    "setup --host") offer=() ;;
    "load --pins") offer=(-d) ;;
    "load --group") offer=() ;;
    "unload --pins") offer=(-d) ;;
    "names --group") offer=() ;;
    "check --pins") offer=(-d) ;;
    "check --timeout") offer=() ;;
    "check --api") offer=() ;;
    "check --host") offer=() ;;
    "check --token-file") offer=(-f) ;;
    "check --user") offer=() ;;
    "check --password-file") offer=(-f) ;;
    "check --ca-file") offer=(-f) ;;
    "provision --template") offer=(-W "agent active trapper") ;;
    "provision --host") offer=() ;;
    "provision --group") offer=() ;;
    "provision --proxy") offer=() ;;
    "provision --interface") offer=() ;;
    "provision --macro") offer=() ;;
    "provision --token-file") offer=(-f) ;;
    "provision --user") offer=() ;;
    "provision --password-file") offer=(-f) ;;
    "provision --ca-file") offer=(-f) ;;
    "provision --timeout") offer=() ;;
    "provision map --url") offer=() ;;
    "provision map --group") offer=() ;;
    "provision map --host") offer=() ;;
    "provision map --tag") offer=() ;;
    "provision map --by") offer=(-W "group") ;;
    "provision map --focus") offer=() ;;
    "provision map --hops") offer=() ;;
    "provision map --alias") offer=() ;;
    "provision map --config") offer=(-f) ;;
    "provision map --host-for-sums") offer=() ;;
    "provision map --keep") offer=() ;;
    "provision map --state") offer=(-f) ;;
    "provision map --token-file") offer=(-f) ;;
    "provision map --user") offer=() ;;
    "provision map --password-file") offer=(-f) ;;
    "provision map --ca-file") offer=(-f) ;;
    "provision map --format") offer=(-W "map dot json") ;;
    "provision map --timeout") offer=() ;;
    *) return 1 ;;
    esac
}

# Sets offer to what compgen is to offer as an argument, of which there are so many before it.
_zabbix_sockets_argument() {
    case "$1 $2" in
    "get 0") offer=(-W "process unit container user") ;;
    "get 1") offer=(-W "all own") ;;
    "discover 0") offer=(-W "processes listeners upstreams") ;;
    "count 1") offer=(-W "tcp udp unix") ;;
    "count 2") offer=(-W "listen established inbound outbound unknown syn_sent syn_recv fin_wait1 fin_wait2 close_wait last_ack closing bound connected") ;;
    "show 0") offer=(-W "processes listeners upstreams clients sockets") ;;
    esac
}

_zabbix_sockets_options() {
    case $1 in
    "get") offer=(-W "--source --timeout --netns --filter --group-by --config --pins --max-bytes --active-within --no-tcp-info --clients --no-clients --debug --help") ;;
    "discover") offer=(-W "--source --timeout --netns --filter --group-by --config --pins --max-bytes --debug --help") ;;
    "count") offer=(-W "--source --timeout --netns --filter --group-by --config --pins --debug --help") ;;
    "send") offer=(-W "--source --timeout --netns --filter --group-by --config --pins --max-bytes --active-within --no-tcp-info --clients --no-clients --agent-config --server --port --host --source-address --tls-connect --tls-ca-file --tls-crl-file --tls-server-cert-issuer --tls-server-cert-subject --tls-cert-file --tls-key-file --tls-psk-identity --tls-psk-file --tls-cipher13 --tls-cipher --values --interval --send-timeout --spool --spool-size --debug --help") ;;
    "show") offer=(-W "--source --timeout --netns --filter --group-by --config --pins --json --keys --active-within --tcp-info --no-tcp-info --interval --count --sort --protocol --state --debug --help") ;;
    "setup") offer=(-W "--dry-run --restart --push --server --host --no-keys --external-check --remove --debug --help") ;;
    "load") offer=(-W "--pins --group --no-totals --debug --help") ;;
    "unload") offer=(-W "--pins --debug --help") ;;
    "names") offer=(-W "--group --debug --help") ;;
    "files") offer=(-W "--debug --help") ;;
    "check") offer=(-W "--pins --json --timeout --api --host --token-file --user --password-file --ca-file --debug --help") ;;
    "provision") offer=(-W "--template --host --group --proxy --interface --macro --token-file --user --password-file --ca-file --delete-missing --dry-run --timeout --debug --help map") ;;
    "provision map") offer=(-W "--url --group --host --tag --by --focus --hops --alias --config --loopback --discover --host-for-sums --keep --relayout --private --state --token-file --user --password-file --ca-file --format --dry-run --timeout --debug --help") ;;
    esac
}

_zabbix_sockets() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local verb=${COMP_WORDS[1]} at first=2 arguments=0 offer=()
    COMPREPLY=()
    # Of --option=value readline makes three words.
    [ "$previous" != = ] || previous=${COMP_WORDS[COMP_CWORD - 2]}
    [ "$word" != = ] || word=
    # A verb may have two words.
    case " ${COMP_WORDS[1]} ${COMP_WORDS[2]} " in
    " provision map ") if [ "$COMP_CWORD" -gt 2 ]; then verb="$verb ${COMP_WORDS[2]}" first=3; fi ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        offer=(-W "get discover count send show setup load unload names files check provision --help --version")
    elif ! _zabbix_sockets_value "$verb" "$previous"; then
        for ((at = first; at < COMP_CWORD; at++)); do
            if _zabbix_sockets_value "$verb" "${COMP_WORDS[at]}"; then
                [ "${COMP_WORDS[at + 1]}" != = ] || ((at += 1))
                ((at += 1))
            elif [[ ${COMP_WORDS[at]} != -* ]]; then
                ((arguments += 1))
            fi
        done
        offer=()
        [[ $word = -* ]] || _zabbix_sockets_argument "$verb" "$arguments"
        [ "${#offer[@]}" -gt 0 ] || _zabbix_sockets_options "$verb"
    fi
    case ${offer[0]} in
    "") return ;;
    -f | -d) compopt -o filenames 2>/dev/null ;;
    esac
    mapfile -t COMPREPLY < <(compgen "${offer[@]}" -- "$word")
}

complete -F _zabbix_sockets zabbix-sockets
