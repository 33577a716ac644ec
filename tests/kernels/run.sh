#!/bin/sh
# Runs a command on another kernel: tests/kernels/run.sh RELEASE COMMAND [ARGUMENT...]
#
# The kernel is that of a release of Debian, such as bookworm (tests/kernels/fetch.sh). The command runs
# as root in this folder, in a virtual machine that is emulated (qemu-system-x86), so it is slow. Its
# files are this machine's, read alone: what it writes lies in its memory and goes with it. There is no
# network but its own. Output and status are the command's; the status is 77 where a program or the
# kernel can't be had, and 70 where the kernel ended early.
set -eu
cd "$(dirname "$0")/../.."
release=$1
shift
kernel=$PWD/.cache/kernels/$release
command -v qemu-system-x86_64 >/dev/null || { echo "no qemu-system-x86_64" >&2; exit 77; }
tests/kernels/fetch.sh "$release" || exit 77

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cp -r "$kernel/root" "$work/root"
for argument; do
    printf "'%s' " "$(printf %s "$argument" | sed "s/'/'\\\\''/g")"
done >"$work/root/command"
cat >"$work/root/init" <<END
#!/bin/busybox sh
b=/bin/busybox
\$b mkdir -p /proc /dev /files /top /all
\$b mount -t devtmpfs dev /dev
\$b mount -t proc proc /proc
for module in /modules/* /modules/* /modules/*; do # some need others
    \$b insmod \$module 2>/dev/null
done
\$b mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=262144,ro files /files
\$b mount -t tmpfs top /top
\$b mkdir /top/upper /top/work
\$b mount -t overlay -o lowerdir=/files,upperdir=/top/upper,workdir=/top/work all /all
\$b mount -t proc proc /all/proc
\$b mount -t sysfs sysfs /all/sys
\$b mount -t devtmpfs dev /all/dev
\$b mkdir -p /all/dev/pts /all/dev/shm
\$b mount -t devpts devpts /all/dev/pts
\$b mount -t tmpfs shm /all/dev/shm
\$b mount -t tmpfs run /all/run
\$b mount -t bpf bpf /all/sys/fs/bpf
\$b mount -t cgroup2 cgroup /all/sys/fs/cgroup
\$b ip link set lo up
\$b cp /command /all/run/command
\$b chroot /all /bin/sh -c 'cd "$PWD"; export PATH="$PATH" HOME=/root LC_ALL=C.UTF-8; . /run/command' </dev/null
echo "exit status: \$?"
\$b poweroff -f
END
chmod +x "$work/root/init"
(cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$work/initramfs"
timeout 3600 qemu-system-x86_64 -cpu max -smp 2 -m 3G -nographic -no-reboot -nodefaults -serial stdio \
    -kernel "$kernel/vmlinuz" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet edd=off mitigations=off panic=-1" \
    -fsdev local,id=files,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=files,mount_tag=files </dev/null |
    tr -d '\r' | tee "$work/output"
status=$(sed -n 's/^exit status: //p' "$work/output")
exit "${status:-70}"
