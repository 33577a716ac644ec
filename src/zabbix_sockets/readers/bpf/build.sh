#!/bin/sh
# Builds the BPF objects beside this file, or into the folder given: both byte orders.
# Needs Debian's clang, llvm, libbpf-dev and linux-libc-dev. Tests compare a fresh build.
set -eu
cd "$(dirname "$0")"
into=${1:-.}
for order in el eb; do
    # No path of this machine may come into the debugging information that CO-RE needs.
    clang -O2 -g -Wall -Wextra -Werror -target "bpf$order" -mcpu=v3 \
        -idirafter "/usr/include/$(uname -m)-linux-gnu" -fdebug-compilation-dir=. \
        -c sockets.bpf.c -o "$into/sockets.bpf$order.o"
    llvm-objcopy --strip-debug --remove-section .rel.BTF --remove-section .rel.BTF.ext \
        --remove-section .llvm_addrsig "$into/sockets.bpf$order.o"
done
