"""Paths of cgroups as systemd, the container runtimes and the kubelet make them."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.model.cgroup_paths import choose_path, is_lasting, parse_path
from zabbix_sockets.model.placement import Container, Placement

ID = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"
OTHER = "b7" * 32
UID = "9b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"
UID_ = UID.replace("-", "_")
STATIC = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
USER = "/user.slice/user-1000.slice/user@1000.service"
USER_UNIT = "user@1000.service"
PODS = "/kubepods.slice/kubepods-burstable.slice"
POD = f"{PODS}/kubepods-burstable-pod{UID_}.slice"
KIND = "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice"

UNITS = [
    ("", ""),
    ("/", ""),
    ("/init.scope", "init.scope"),
    ("/system.slice", ""),
    ("/user.slice/user-1000.slice", ""),
    ("/system.slice/nginx.service", "nginx.service"),
    ("/system.slice/foo-12.service", "foo-12.service"),
    ("/system.slice/foo.service/worker/1", "foo.service"),
    ("/system.slice/a.service/b.service", "a.service"),
    ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
    ("/system.slice/system-x.slice/postgresql@15-main.service", "postgresql@15-main.service"),
    ("/system.slice/system-openvpn.slice/openvpn@a\\x2db.service", "openvpn@a\\x2db.service"),
    ("/system.slice/dbus.socket", "dbus.socket"),
    ("/system.slice/dev-hugepages.mount", "dev-hugepages.mount"),
    ("/dev-sda2.swap", "dev-sda2.swap"),
    ("/system.slice/_cpu.service", "cpu.service"),
    ("/system.slice/sshd@7-10.0.0.1:22-10.0.0.9:51234.service", "sshd@*.service"),
    ("/system.slice/sshd@7-fe80::1:22-fe80::2:51234.service", "sshd@*.service"),
    ("/system.slice/systemd-coredump@3-4711-0.service", "systemd-coredump@*.service"),
    ("/system.slice/varlink@3-99_4711-0.service", "varlink@*.service"),
    ("/system.slice/dbus-:1.2-org.gnome.Shell@11.service", "dbus-:*-org.gnome.Shell@*.service"),
    ("/system.slice/run-u123.service", "run-u*.service"),
    ("/system.slice/run-4711.service", "run-*.service"),
    ("/system.slice/run-p4711-i815.service", "run-p*-i*.service"),
    (f"/system.slice/run-r{STATIC}.service", "run-r*.service"),
    ("/system.slice/run-u7.scope", "run-u*.scope"),
    ("/system.slice/run-p4711-i815.scope", "run-p*-i*.scope"),
    (f"/system.slice/run-r{STATIC}.scope", "run-r*.scope"),
    ("/system.slice/run-my-job-4.service", "run-my-job-4.service"),
    ("/user.slice/user-1000.slice/session-3.scope", "session-*.scope"),
    ("/user.slice/user-116.slice/session-c1.scope", "session-*.scope"),
    (f"{USER}/init.scope", "user@1000.service"),
    (f"{USER}", "user@1000.service"),
    (f"{USER}/app.slice", "user@1000.service"),
    (f"{USER}/app.slice/syncthing.service", "user@1000.service/syncthing.service"),
    (f"{USER}/app.slice/app-x.slice/x.service/sub", "user@1000.service/x.service"),
    (f"{USER}/app.slice/app-gnome-firefox-1234.scope", "user@1000.service"),
    (f"{USER}/app.slice/run-u9.service", "user@1000.service/run-u*.service"),
    (
        f"{USER}/app.slice/app-org.kde.konsole@{STATIC}.service",
        f"{USER_UNIT}/app-org.kde.konsole@*.service",
    ),
    (f"{USER}/nginx/x.service", "user@1000.service"),
    ("/user.slice/app-gnome-firefox-1234.scope", "app-gnome-firefox-*.scope"),
    ("/user.slice/app-Hyprland-kitty-4f2a91bc.scope", "app-Hyprland-kitty-*.scope"),
    (f"/user.slice/vte-spawn-{UID}.scope", "vte-spawn-*.scope"),
    (f"/user.slice/snap.firefox.firefox.{UID}.scope", "snap.firefox.firefox.*.scope"),
    ("/user.slice/podman-4711.scope", "podman-*.scope"),
    (f"/nomad.slice/share.slice/{UID}.redis.scope", "*.redis.scope"),
    ("/qemu.slice/100.scope", "100.scope"),
    (f"/system.slice/{ID}.service", "*.service"),
    ("/../../system.slice/cron.service", "cron.service"),
    ("/../..", ""),
    ("/openrc.nginx", ""),
    ("/system.slice/nginx", ""),
    ("/system.slice/.service", ""),
    ("/system.slice/with space.service", ""),
    ("//system.slice//cron.service/", "cron.service"),
    # podman's and containerd's helpers are in no container
    (f"/machine.slice/libpod-conmon-{ID}.scope", "libpod-conmon-*.scope"),
    (f"{POD}/crio-conmon-{ID}.scope", "crio-conmon-*.scope"),
    ("/system.slice/web.service/runtime", "web.service"),
    (f"/libpod_parent/{ID}/conmon", ""),
    ("/system.slice/buildkit.service/abc", "buildkit.service"),
    ("/docker/buildkit/wq4ekd8y1r0tz1xk6lfa2b7cj", ""),
    (f"/docker/buildkit/{ID}", ""),
    ("/lxc.monitor.web1", ""),
    ("/lxc.monitor/web1", ""),
    ("/lxc", ""),
    ("/lxc.payload.", ""),
    ("/machine.slice/machine-web1.scope/supervisor", "machine-web1.scope"),
    ("/machine.slice/systemd-nspawn@web1.service/supervisor", "systemd-nspawn@web1.service"),
]


@pytest.mark.parametrize(("path", "unit"), UNITS)
def test_units_without_container(path: str, unit: str) -> None:
    """The unit's name survives restarts; what is no container gives none."""
    assert parse_path(path) == Placement(unit, None)


SCOPE = "cri-containerd-*.scope"
DOCKER, PODMAN, NERDCTL = (Container(name, ID) for name in ("docker", "podman", "containerd"))
ROOTLESS = PODMAN._replace(user=1000)
CONTAINERD, CRIO, DOCKERSHIM, SOME = (
    Container(name, ID, UID) for name in ("containerd", "crio", "docker", "")
)

CONTAINERS = [
    (f"/system.slice/docker-{ID}.scope", "docker-*.scope", DOCKER),
    (f"/system.slice/docker-{ID}.scope/init", "docker-*.scope", DOCKER),
    (f"/my.slice/docker-{ID}.scope", "docker-*.scope", DOCKER),
    (f"/docker/{ID}", "", DOCKER),
    (f"/../docker/{ID}/system.slice/nginx.service", "", DOCKER),
    (f"/docker/{ID}/docker/{OTHER}", "", DOCKER),
    (f"/docker/{ID}{PODS}/cri-containerd-{OTHER}.scope", "", DOCKER),
    (f"/docker/{ID}/kubelet/kubepods/pod{UID}/{OTHER}", "", DOCKER),
    (f"/ecs/{STATIC}/{ID}", "", DOCKER),
    (f"/ecs/cluster/{UID}/{ID}", "", DOCKER),
    (f"/ecstasks.slice/ecstasks-{STATIC}.slice/docker-{ID}.scope", "docker-*.scope", DOCKER),
    (f"/actions_job/{ID}", "", Container("", ID)),
    (f"/system.slice:docker:{ID}", "", DOCKER),
    (f"{USER}/user.slice/docker-{ID}.scope", "user@1000.service", DOCKER._replace(user=1000)),
    (f"/system.slice/nerdctl-{ID}.scope", "nerdctl-*.scope", NERDCTL),
    (f"/default/{ID}", "", NERDCTL),
    # podman
    (f"/machine.slice/libpod-{ID}.scope", "libpod-*.scope", PODMAN),
    (f"/machine.slice/libpod-{ID}.scope/container", "libpod-*.scope", PODMAN),
    (
        f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope/container",
        "libpod-*.scope",
        PODMAN,
    ),
    (f"{USER}/user.slice/libpod-{ID}.scope/container", "user@1000.service", ROOTLESS),
    (
        f"{USER}/user.slice/user-libpod_pod_{OTHER}.slice/libpod-{ID}.scope",
        "user@1000.service",
        ROOTLESS,
    ),
    # Only the slice that logind makes tells whose it is; a user's own of that name does not.
    (f"/user.slice/user-0.slice/user@0.service/libpod-{ID}.scope", "user@0.service", PODMAN),
    (f"/user.slice/libpod-{ID}.scope", "libpod-*.scope", PODMAN),
    (f"/system.slice/web.service/user-1001.slice/libpod-{ID}.scope", "web.service", PODMAN),
    (f"{USER}/user.slice/user-1001.slice/libpod-{ID}.scope", "user@1000.service", ROOTLESS),
    (f"/docker/{ID}{USER}/libpod-{OTHER}.scope", "", DOCKER),
    (f"/libpod_parent/libpod-{ID}", "", PODMAN),
    (f"/libpod_parent/{OTHER}/libpod-{ID}", "", PODMAN),
    (f"/system.slice/web.service/libpod-payload-{ID}", "web.service", PODMAN),
    (f"{USER}/app.slice/web.service/libpod-payload-{ID}", f"{USER_UNIT}/web.service", ROOTLESS),
    (
        f"/system.slice/system-ceph.slice/ceph-{UID}@osd.3.service/libpod-payload-{ID}",
        "ceph-*@osd.3.service",
        PODMAN,
    ),
    # Kubernetes
    (f"{POD}/cri-containerd-{ID}.scope", SCOPE, CONTAINERD),
    (f"{POD}/cri-containerd-{ID}.scope/system.slice/x.service", SCOPE, CONTAINERD),
    (f"{POD}/crio-{ID}.scope", "crio-*.scope", CRIO),
    (f"{POD}/crio-{ID}.scope/container", "crio-*.scope", CRIO),
    (f"{POD}/docker-{ID}.scope", "docker-*.scope", DOCKERSHIM),
    (f"/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope", SCOPE, CONTAINERD),
    (
        f"{PODS}/kubepods-burstable-pod{STATIC}.slice/cri-containerd-{ID}.scope",
        SCOPE,
        Container("containerd", ID, STATIC),
    ),
    (POD, "", Container("", "", UID)),
    (f"/kubepods/burstable/pod{UID}/{ID}", "", SOME),
    (f"/kubepods/besteffort/pod{UID}/{ID}", "", SOME),
    (f"/kubepods/pod{UID}/{ID}", "", SOME),
    (f"/kubepods/pod{STATIC}/{ID}", "", Container("", ID, STATIC)),
    (f"/kubepods/burstable/pod{UID}/crio-{ID}", "", CRIO),
    (f"/kubepods/burstable/pod{UID}/{ID}/docker/{OTHER}", "", SOME),
    (f"/kubelet/kubepods/burstable/pod{UID}/{ID}", "", SOME),
    (
        f"{KIND}/kubelet-kubepods-besteffort-pod{UID_}.slice/cri-containerd-{ID}.scope",
        SCOPE,
        CONTAINERD,
    ),
    (
        f"/system.slice/containerd.service/kubepods-besteffort-pod{UID_}.slice:cri-containerd:{ID}",
        "containerd.service",
        CONTAINERD,
    ),
    (
        f"/system.slice/k3s.service/kubepods-pod{UID_}.slice:cri-containerd:{ID}",
        "k3s.service",
        CONTAINERD,
    ),
    # lxc, lxd, incus
    ("/lxc/web1", "", Container("lxc", "web1")),
    ("/lxc/101/ns/system.slice/nginx.service", "", Container("lxc", "101")),
    ("/lxc.payload.web1/system.slice/nginx.service", "", Container("lxc", "web1")),
    ("/lxc.payload.my.web-1/.lxc", "", Container("lxc", "my.web-1")),
    ("/lxc.payload/web1/init.scope", "", Container("lxc", "web1")),
    (f"/lxc.payload.web1/docker/{ID}", "", Container("lxc", "web1")),
    (f"{USER}/lxc.payload.web1/init.scope", USER_UNIT, Container("lxc", "web1", user=1000)),
    # nspawn, libvirt
    (
        "/machine.slice/machine-web1.scope/payload/system.slice/a.service",
        "machine-web1.scope",
        Container("nspawn", "web1"),
    ),
    (
        "/machine.slice/machine-web\\x2d1.scope",
        "machine-web\\x2d1.scope",
        Container("nspawn", "web-1"),
    ),
    (
        "/machine.slice/machine-k\\xc3\\xb6ln.scope",
        "machine-k\\xc3\\xb6ln.scope",
        Container("nspawn", "köln"),
    ),
    (
        "/machine.slice/systemd-nspawn@a\\x2db.service/payload/init.scope",
        "systemd-nspawn@a\\x2db.service",
        Container("nspawn", "a-b"),
    ),
    (
        "/machine.slice/systemd-nspawn@web1.service",
        "systemd-nspawn@web1.service",
        Container("nspawn", "web1"),
    ),
    (
        "/machine.slice/machine-qemu\\x2d12\\x2ddb\\x2d1.scope/libvirt/emulator",
        "machine-qemu\\x2d*\\x2ddb\\x2d1.scope",
        Container("libvirt", "db-1"),
    ),
    (
        "/machine.slice/machine-qemu\\x2ddb.scope",
        "machine-qemu\\x2ddb.scope",
        Container("libvirt", "db"),
    ),
    (
        "/machine.slice/machine-lxc\\x2d4711\\x2dbox.scope",
        "machine-lxc\\x2d*\\x2dbox.scope",
        Container("libvirt", "box"),
    ),
    ("/machine/qemu-3-db.libvirt-qemu/vcpu0", "", Container("libvirt", "db")),
    ("/machine/db.libvirt-qemu/emulator", "", Container("libvirt", "db")),
]


@pytest.mark.parametrize(("path", "unit", "container"), CONTAINERS)
def test_containers(path: str, unit: str, container: Container) -> None:
    """The outermost container of a path, as the host's runtime knows it."""
    assert parse_path(path) == Placement(unit, container)


FRAGMENTS = st.sampled_from(
    [
        *("/", "-", "@", ".", ":", "..", "\\x2d", "\\x", "_", "*", "\n", "é", "1", "f"),
        *(ID, STATIC, UID, UID_, "pod", "lxc", "docker", "kubepods", "system.slice"),
        *("run-r", "run-u", "session-", "machine-", "libpod-", "cri-containerd-"),
        *(".service", ".scope", ".slice", "user@1000.service"),
    ]
)
PATHS = st.text(max_size=200) | st.lists(FRAGMENTS, max_size=14).map("".join)


@given(PATHS)
@example(f"/x.slice/a\\x2d{STATIC}.service")
@example(f"/a\\x2d{UID}.service")
@example(f"/{STATIC}a@{STATIC}.service")
def test_any_path(path: str) -> None:
    """Whatever the path, no unit's name holds what changes, and its form is stable."""
    unit, container = parse_path(path)
    assert not unit or is_lasting(unit)
    bare = re.sub(r"\\x[0-9a-f]{2}", " ", unit)
    assert not any(any(map(str.isdecimal, run)) for run in re.findall("[0-9a-fA-F]{12,}", bare))
    assert parse_path(f"/../{path}").unit == unit
    if container:
        assert container.id or container.pod
        assert "/" not in container.id or "\\x2f" in path


@given(st.binary(max_size=300) | PATHS.map(lambda path: f"0::{path}\n3:cpu:{path}".encode()))
def test_any_bytes(data: bytes) -> None:
    """Whatever the file holds, a path or nothing comes out, and it can be parsed."""
    path = choose_path(data)
    assert not path or path.startswith("/")
    parse_path(path)


V1 = b"12:pids:%s\n11:cpu,cpuacct:%s\n1:name=systemd:%s\n"


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"", ""),
        (b"0::/\n", "/"),
        (b"0::/system.slice/nginx.service\n", "/system.slice/nginx.service"),
        (b"0::/a.service (deleted)\n", "/a.service"),
        (b"1:name=systemd:/a (deleted)\n", "/a (deleted)"),  # v1 says nothing of it
        (b"0::/a:b:c\n", "/a:b:c"),
        (b"0::/a\\040\\101\xff\n", "/a\\040\\101\udcff"),  # nothing is escaped
        (b"0::/../../system.slice/a.service\n", "/system.slice/a.service"),
        (b"0::/..\n", "/"),
        (V1 % (b"/", b"/", b"/"), "/"),
        (V1 % (b"/", b"/", b"/system.slice/a.service"), "/system.slice/a.service"),
        (V1 % (b"/", b"/", b"/a.service") + b"0::/\n", "/a.service"),
        (V1 % (b"/", b"/", b"/a.service") + b"0::/..\n", "/a.service"),
        (V1 % (b"/c", b"/c", b"/a.service") + b"0::/b.service\n", "/b.service"),
        (b"3:pids:/docker/%s\n2:cpu:/\n" % ID.encode(), f"/docker/{ID}"),
        (b"3:pids:/batch\n2:cpu:/x\n", "/"),
        # docker's cgroupfs driver on a hybrid host, as its container and as the daemon
        (
            V1 % ((b"/docker/" + ID.encode(),) * 3) + b"0::/system.slice/containerd.service\n",
            f"/docker/{ID}",
        ),
        (
            V1 % ((b"/system.slice/docker.service",) * 3) + b"0::/system.slice/docker.service\n",
            "/system.slice/docker.service",
        ),
        (b"nonsense\n0:\n0::relative\n:::\n", ""),
    ],
)
def test_chosen_paths(data: bytes, path: str) -> None:
    """The line of cgroup v2 comes first, unless another one tells more."""
    assert choose_path(data) == path
