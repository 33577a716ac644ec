#!/bin/sh
# Unpacks kernels of Debian's releases, unless they are there with the same modules: tests/kernels/fetch.sh RELEASE...
#
# Each lies in .cache/kernels/RELEASE, with the modules that tests/kernels/run.sh needs, and is never
# installed. The status is 1 if one can't be had.
set -eu
cd "$(dirname "$0")/../.."

# What mounts this machine's files, what sockets are asked of, and NFS; some may be built in.
modules="virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci netfs fscache 9pnet
    9pnet_virtio 9p overlay veth sch_tbf netlink_diag inet_diag tcp_diag udp_diag unix_diag
    sunrpc grace lockd nfs_acl nfs_localio dns_resolver nfs nfsv3"

# fetch RELEASE: unpack the kernel and those modules, by this machine's settings of how apt fetches.
fetch() {
    kernel=$PWD/.cache/kernels/$1
    rm -rf "$kernel.new"
    mkdir -p "$kernel.new/root/bin" "$kernel.new/root/modules"
    apt-config dump Acquire | grep -Ev '^Acquire::(IndexTargets|cdrom|Changelogs)' >"$kernel.new/acquire"
    mmdebstrap --quiet --variant=extract --include=linux-image-amd64 --aptopt="$kernel.new/acquire" \
        "$1" "$kernel.new/tree" || return
    # In /boot, since Linux 7 beside the modules.
    cp "$(find "$kernel.new/tree" -name 'vmlinuz*' -type f)" "$kernel.new/vmlinuz" || return
    for module in $modules; do
        file=$(find "$kernel.new/tree" -name "$module.ko*")
        case $file in
        *.xz) xz -dc "$file" >"$kernel.new/root/modules/$module.ko" ;;
        ?*) cp "$file" "$kernel.new/root/modules/" ;;
        esac
    done
    cp /bin/busybox "$kernel.new/root/bin/"
    echo "$modules" >"$kernel.new/modules"
    rm -r "$kernel.new/tree" "$kernel.new/acquire"
    rm -rf "$kernel"
    mv "$kernel.new" "$kernel"
}

status=0
for release; do
    [ "$(cat ".cache/kernels/$release/modules" 2>/dev/null)" = "$modules" ] || fetch "$release" || status=1
done
exit $status
