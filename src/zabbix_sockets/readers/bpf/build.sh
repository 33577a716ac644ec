#!/bin/sh
# Builds the BPF objects beside this file, or into the folder given: both byte orders of each, or of
# the sources named behind it.
# Needs Debian's clang, llvm, libbpf-dev and linux-libc-dev. Tests compare a fresh build.
set -eu
cd "$(dirname "$0")"
into=${1:-.}
[ $# -gt 1 ] && shift || set -- sockets minisocks totals totals_without_exchange
for name in "$@"; do
    case $name in
    totals_without_exchange) source=totals defined=-DWITHOUT_EXCHANGE ;; # for Linux 5.11
    *) source=$name defined= ;;
    esac
    for order in el eb; do
        object=$into/$name.bpf$order.o
        # No path of this machine may come into the debugging information that CO-RE needs.
        clang -O2 -g -Wall -Wextra -Werror -target "bpf$order" -mcpu=v3 \
            -idirafter "/usr/include/$(uname -m)-linux-gnu" -fdebug-compilation-dir=. \
            $defined -c "$source.bpf.c" -o "$object"
        llvm-objcopy --strip-debug --remove-section .rel.BTF --remove-section .rel.BTF.ext \
            --remove-section .llvm_addrsig "$object"
    done
done
