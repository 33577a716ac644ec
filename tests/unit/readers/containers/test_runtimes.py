"""Names of containers from files as docker, podman, the kubelet and nerdctl write them."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.container_names import (
    NAMES_FILE,
    ContainerEntry,
    PublishedPorts,
    lines_of,
)
from zabbix_sockets.model.placement import Container
from zabbix_sockets.readers.containers import runtime_files
from zabbix_sockets.readers.containers.homes import Homes
from zabbix_sockets.readers.containers.runtimes import ContainerNames
from zabbix_sockets.readers.proc import passwd
from zabbix_sockets.readers.proc.mounts import Mounts

from .store_files import (
    ANN,
    BOB,
    BUNDLE,
    DOCKER,
    DOCKER_FILE,
    ID,
    OTHER,
    PASSWD,
    PODMAN,
    ROOTLESS,
    STATIC,
    STORE,
    TIME,
    UID,
    container_name,
    docker,
    names_in,
    stored,
    write,
)

COMPOSE = {
    "com.docker.compose.config-hash": OTHER,
    "com.docker.compose.container-number": "1",
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "db",
}
SWARM = {"com.docker.swarm.service.name": "shop_db", "com.docker.swarm.task.id": "k3j4"}
KUBERNETES = {
    "io.kubernetes.pod.namespace": "kube-system",
    "io.kubernetes.pod.name": "coredns-5d78c9869d-2lq5z",
}


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("/web", {}, "web"),
        ("/web-1.prod_x", {}, "web-1.prod_x"),
        ("/eager_curie", {}, ""),
        ("/eager_curie7", {}, ""),
        ("/shop-db-1", COMPOSE, "shop/db"),
        ("/eager_curie", COMPOSE, "shop/db"),
        ("/shop-db-1", {"com.docker.compose.project": "shop"}, "shop-db-1"),
        ("/shop_db.1.k3j4l5m6n7o8p9q0r1s2t3u4v", SWARM, "shop_db"),
        (f"/k8s_coredns_coredns-5d78c9869d-2lq5z_kube-system_{UID}_0", KUBERNETES, None),
        (f"/k8s_coredns_coredns-5d78c9869d-2lq5z_kube-system_{UID}_0", {}, ""),
        (f"/runner-{STATIC}", {}, ""),
        ("/with space", {}, ""),
        ("/a/b", {}, ""),
        ("/", {}, ""),
        ("", {}, ""),
    ],
)
def test_docker(tmp_path: Path, name: str, labels: dict[str, str], expected: str | None) -> None:
    """A chosen name, the service of compose or swarm, a pod; not what docker made up."""
    write(tmp_path, DOCKER_FILE, docker(name, labels))
    result = "kube-system/coredns" if expected is None else expected
    assert container_name(DOCKER, str(tmp_path)) == result
    assert container_name(Container("", ID), str(tmp_path)) == result
    assert container_name(PODMAN, str(tmp_path)) == ""
    assert container_name(Container("docker", OTHER), str(tmp_path)) == ""


def test_rootless_docker(tmp_path: Path) -> None:
    """A user's own docker keeps its files in the user's home: they name that user's alone."""
    write(tmp_path, "etc/passwd", PASSWD)
    write(tmp_path, DOCKER_FILE.replace("var/lib", "home/bob/.local/share"), docker("/web"))
    assert container_name(DOCKER._replace(user=BOB), str(tmp_path)) == "web"
    assert container_name(Container("", ID, user=BOB), str(tmp_path)) == "web"
    for user in (None, ANN, 1002):
        assert container_name(DOCKER._replace(user=user), str(tmp_path)) == ""


def test_a_name_without_an_end(tmp_path: Path) -> None:
    """A user's label of any length is looked at as far as it is shown: more would take hours."""
    labels = {"com.docker.compose.project": 900_000 * "f", "com.docker.compose.service": "x"}
    write(tmp_path, "etc/passwd", PASSWD)
    write(tmp_path, DOCKER_FILE.replace("var/lib", "home/bob/.local/share"), docker("/a", labels))
    assert container_name(DOCKER._replace(user=BOB), str(tmp_path)) == 200 * "f"


@pytest.mark.parametrize(
    "path",
    [
        f"var/lib/{STORE}",
        f"var/lib/{STORE}".replace("overlay-", "vfs-"),
        f"var/lib/{STORE}".replace("overlay-", "btrfs-"),
        f"var/lib/{STORE}".replace("containers.json", "volatile-containers.json"),
        f"run/{STORE}".replace("containers.json", "volatile-containers.json"),
        ROOTLESS,
        ROOTLESS.replace("overlay-", "vfs-"),
    ],
)
def test_podman(tmp_path: Path, path: str) -> None:
    """Root's containers and those of users, by the lists of each storage driver."""
    user = ANN if "ann" in path else None
    write(tmp_path, "etc/passwd", PASSWD)
    write(tmp_path, f"var/lib/{STORE}".replace("overlay", "zfs"), [stored("wrong")])
    file = write(tmp_path, path, [stored("other", OTHER), stored("web")])
    assert container_name(PODMAN._replace(user=user), str(tmp_path)) == "web"
    assert container_name(Container("podman", OTHER, user=user), str(tmp_path)) == "other"
    write(tmp_path, path, [stored("eager_curie")])
    assert container_name(PODMAN._replace(user=user), str(tmp_path)) == ""
    write(tmp_path, path, [stored(f"{ID[:12]}-infra")])
    assert container_name(PODMAN._replace(user=user), str(tmp_path)) == ""
    file.unlink()
    assert container_name(PODMAN._replace(user=user), str(tmp_path)) == ""


@pytest.mark.parametrize("home", ["root", "var/daemon", "nonexistent", "home/broken"])
def test_homes_of_no_people(tmp_path: Path, home: str) -> None:
    """Only homes of people are looked into."""
    write(tmp_path, "etc/passwd", PASSWD)
    write(tmp_path, ROOTLESS.replace("home/ann", home), [stored("web")])
    for user in (0, 2, 65534):
        assert container_name(PODMAN._replace(user=user), str(tmp_path)) == ""


def test_who_names_what(tmp_path: Path) -> None:
    """A user can't rename what root or another user runs, nor call his own like theirs."""
    write(tmp_path, "etc/passwd", PASSWD)
    write(tmp_path, f"var/lib/{STORE}", [stored("web")])
    write(tmp_path, ROOTLESS, [stored("fake"), stored("mine", OTHER)])
    names = names_in(tmp_path)
    assert names.of(PODMAN) == "web"
    assert names.of(PODMAN._replace(user=ANN)) == "fake"
    assert names.of(PODMAN._replace(user=BOB)) == ""
    assert names.of(Container("podman", OTHER)) == ""
    assert names.of(Container("podman", OTHER, user=ANN)) == "mine"
    write(tmp_path, f"var/log/pods/shop_db-0_{UID}/x", "")
    assert names_in(tmp_path).of(Container("crio", ID, UID)) == "shop/db-0"
    assert names_in(tmp_path).of(Container("crio", ID, UID, ANN)) == ""
    assert names.complete


@pytest.mark.parametrize("link", [ROOTLESS, ROOTLESS.rpartition("/")[0], "home/ann/.local"])
def test_links_in_a_home(tmp_path: Path, link: str) -> None:
    """A user's link leads nowhere, be it of a file or of a folder."""
    write(tmp_path, "etc/passwd", PASSWD)
    file = write(tmp_path, f"elsewhere{ROOTLESS.removeprefix(link)}", [stored("web")])
    (tmp_path / link).parent.mkdir(parents=True)
    (tmp_path / link).symlink_to(tmp_path / "elsewhere")
    assert (tmp_path / ROOTLESS).samefile(file)
    assert container_name(PODMAN._replace(user=ANN), str(tmp_path)) == ""


def test_a_folder_of_the_system_may_be_a_link(tmp_path: Path) -> None:
    """Administrators move /var/lib/docker to where there is room."""
    write(tmp_path, f"data/{DOCKER_FILE.removeprefix('var/lib/')}", docker("/web"))
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "var/lib/docker").symlink_to(tmp_path / "data/docker")
    assert container_name(DOCKER, str(tmp_path)) == "web"


@pytest.mark.parametrize("path", [ROOTLESS, f"var/lib/{STORE}", DOCKER_FILE, "etc/passwd"])
@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "huge", "closed"])
def test_what_is_no_file(tmp_path: Path, path: str, kind: str) -> None:
    """A FIFO without a writer, a folder, a file without end: all are as good as none."""
    write(tmp_path, "etc/passwd", PASSWD)
    write(tmp_path, ROOTLESS.replace("overlay", "vfs"), [stored("web")])
    write(tmp_path, f"run/{STORE}", [stored("web")])
    file = write(tmp_path, path, [stored("wrong")])
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "link":
        file.symlink_to("/dev/zero")
    elif kind == "huge":
        file.write_text(json.dumps([stored("wrong")]) + " " * passwd.MAX_BYTES)
    else:
        file.symlink_to(file)
    names: list[str] = []
    call = threading.Thread(
        target=lambda: names.extend(
            container_name(each, str(tmp_path))
            for each in (PODMAN, PODMAN._replace(user=ANN), DOCKER)
        ),
        daemon=True,
    )
    call.start()
    call.join(20)
    assert names == ["web", "" if path == "etc/passwd" else "web", ""]


def test_a_file_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the bound is read, whatever fstat(2) said."""
    file = write(tmp_path, f"var/lib/{STORE}", [stored("web")])
    size = file.stat().st_size
    monkeypatch.setattr(runtime_files, "MAX_SIZE", size)
    assert container_name(PODMAN, str(tmp_path)) == "web"
    monkeypatch.setattr(runtime_files, "MAX_SIZE", size - 1)
    assert container_name(PODMAN, str(tmp_path)) == ""
    grown = os.stat_result((0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: grown)
    assert container_name(PODMAN, str(tmp_path)) == ""


def test_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device is not read, though it has no size."""
    write(tmp_path, f"var/lib/{STORE}", [stored("web")])
    assert container_name(PODMAN, str(tmp_path)) == "web"
    device = os.stat_result((0o020644, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: device)
    assert container_name(PODMAN, str(tmp_path)) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from([ID, "", "/web", "shop"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "names", "Name", "Config", "Labels", *COMPOSE, "annotations"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    """Files of another form than expected give a name or none."""
    root = tmp_path_factory.mktemp("root")
    for path in (DOCKER_FILE, f"var/lib/{STORE}", f"run/containerd/{BUNDLE}"):
        write(root, path, value)
    for runtime in ("docker", "podman", "containerd", "crio", ""):
        assert isinstance(container_name(Container(runtime, ID), str(root)), str)


@pytest.mark.parametrize(
    "text", ["", "{", "\0", "[" * 100_000, f'["{ID}"', f'[{{"id": "{ID}"}}]', '{"Name": "\\ud800"}']
)
def test_malformed_json(tmp_path: Path, text: str) -> None:
    """What is no JSON gives no name."""
    for path in (DOCKER_FILE, f"var/lib/{STORE}", f"run/containerd/{BUNDLE}"):
        write(tmp_path, path, text)
    for runtime in ("docker", "podman", "containerd", ""):
        assert container_name(Container(runtime, ID), str(tmp_path)) == ""


LOGS = "var/log/pods"


@pytest.mark.parametrize(
    ("folder", "uid", "name"),
    [
        (f"kube-system_coredns-5d78c9869d-2lq5z_{UID}", UID, "kube-system/coredns"),
        (f"shop_db-0_{UID}", UID, "shop/db-0"),
        (f"kube-system_etcd-node1_{STATIC}", STATIC, "kube-system/etcd-node1"),
        (f"shop_db-0_x_{UID}", UID, ""),
        (f"shop_{UID}", UID, ""),
        (f"_db-0_{UID}", UID, ""),
        (f"ci-{UID}_db-0_{UID}", UID, ""),  # a namespace of each run's own
        (f"shop_db-0_{OTHER}", UID, ""),
    ],
)
@pytest.mark.parametrize("number", [ID, ""])
def test_pods(tmp_path: Path, folder: str, uid: str, name: str, number: str) -> None:
    """The kubelet's folder of a pod's logs tells its namespace and its workload."""
    (tmp_path / LOGS / folder).mkdir(parents=True)
    (tmp_path / LOGS / f"other_pod-1_{OTHER}").mkdir()
    for runtime in ("containerd", "crio", "docker", ""):
        assert container_name(Container(runtime, number, uid), str(tmp_path)) == name
    assert container_name(Container("containerd", ID), str(tmp_path)) == ""


def test_pods_by_a_containers_log(tmp_path: Path) -> None:
    """A container whose pod is not known has a log with both in its name."""
    folder = tmp_path / "var/log/containers"
    folder.mkdir(parents=True)
    name = f"fluentd-x8k2z_logging_fluentd-{ID}.log"
    (folder / name).symlink_to("/var/log/pods/nowhere")
    (folder / f"x_y_z-{OTHER}.log").touch()
    for container in (Container("containerd", ID), Container("crio", ID, UID), Container("", ID)):
        assert container_name(container, str(tmp_path)) == "logging/fluentd"
    (folder / name).unlink()
    (folder / f"strange-{ID}.log").touch()
    assert container_name(Container("containerd", ID), str(tmp_path)) == ""


@pytest.mark.parametrize("folder", ["run/containerd", "run/k3s/containerd"])
def test_pods_by_a_bundle(tmp_path: Path, folder: str) -> None:
    """Without logs there is what containerd told runc."""
    notes = {
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.sandbox-name": "backup-28391040-abcde",
        "io.kubernetes.cri.sandbox-namespace": "ops",
    }
    bundle = {"ociVersion": "1.1.0", "process": {"args": ["sh"]}, "annotations": notes}
    write(tmp_path, f"{folder}/{BUNDLE}", bundle)
    assert container_name(Container("containerd", ID, UID), str(tmp_path)) == "ops/backup"
    del notes["io.kubernetes.cri.sandbox-namespace"]
    write(tmp_path, f"{folder}/{BUNDLE}", bundle)
    assert container_name(Container("containerd", ID, UID), str(tmp_path)) == ""


def test_pods_by_crios_store(tmp_path: Path) -> None:
    """CRI-O's names in the store hold the pod's."""
    name = f"k8s_web_web-7d4b9c6f5d-x2x8k_shop_{UID}_0"
    write(tmp_path, f"var/lib/{STORE}", [stored(name)])
    assert container_name(Container("crio", ID, UID), str(tmp_path)) == "shop/web"


def test_nerdctl(tmp_path: Path) -> None:
    """A file named like the container holds its id."""
    names = "var/lib/nerdctl/1935db59/names/default"
    write(tmp_path, f"{names}/other", OTHER)
    container = Container("containerd", ID)
    assert container_name(container, str(tmp_path)) == ""
    file = write(tmp_path, f"{names}/web", ID)
    assert container_name(container, str(tmp_path)) == "web"
    file.rename(file.with_name(f"nginx-{ID[:5]}"))
    assert container_name(container, str(tmp_path)) == ""


@pytest.mark.parametrize("runtime", ["lxc", "nspawn", "libvirt"])
def test_machines(tmp_path: Path, runtime: str) -> None:
    """A machine's name is known; one that is made anew with each start is none."""
    assert container_name(Container(runtime, "web-1"), str(tmp_path)) == "web-1"
    assert container_name(Container(runtime, "a\n\udcff"), str(tmp_path)) == "a\n\udcff"
    assert container_name(Container(runtime, "x" * 999), str(tmp_path)) == "x" * 200
    assert container_name(Container(runtime, f"debian-{ID[:16]}"), str(tmp_path)) == ""


@pytest.mark.parametrize("number", ["", "../../etc", "a" * 11, f"{ID}\0", f"{ID}/", "é" * 64])
def test_what_is_no_id(tmp_path: Path, number: str) -> None:
    """Only hex digits come into a path."""
    for runtime in ("docker", "podman", "containerd", "crio", ""):
        assert container_name(Container(runtime, number), str(tmp_path)) == ""


def test_this_machine() -> None:
    """The files of this machine, if any, know no container of this id."""
    names = ContainerNames(Homes(Mounts("/proc", TIME)), TIME)
    assert names.of(Container("", ID, UID)) == ""


def names_file(root: Path, entries: dict[str, ContainerEntry]) -> None:
    """Leave the file of names."""
    write(root, NAMES_FILE.strip("/"), lines_of(entries.items(), 1).decode())


@pytest.mark.parametrize("container", [DOCKER, PODMAN])
def test_the_file_of_names_comes_first(tmp_path: Path, container: Container) -> None:
    """Whoever calls sees the same name, whether the runtime's files are closed to him or not."""
    names_file(tmp_path, {ID: ContainerEntry("x", "shop", "cart")})
    assert container_name(container, str(tmp_path)) == "shop/cart"
    write(tmp_path, DOCKER_FILE, docker("/web"))
    write(tmp_path, f"var/lib/{STORE}", [stored("web")])
    names = names_in(tmp_path)
    assert names.of(container) == "shop/cart"
    assert not names.unlisted


@pytest.mark.parametrize("container", [DOCKER, PODMAN])
def test_a_container_that_the_file_lacks(tmp_path: Path, container: Container) -> None:
    """Its name may come soon: that is told, unless the runtime's file has it."""
    names_file(tmp_path, {OTHER: ContainerEntry("db")})
    names = names_in(tmp_path)
    assert names.of(container) == ""
    assert names.of(container._replace(id=OTHER)) == "db"
    assert names.unlisted == {ID}
    write(tmp_path, DOCKER_FILE, docker("/web"))
    write(tmp_path, f"var/lib/{STORE}", [stored("web")])
    names = names_in(tmp_path)
    assert names.of(container) == "web"
    assert not names.unlisted


def test_who_is_not_in_the_file(tmp_path: Path) -> None:
    """Rootless containers, machines, pods: nothing is missed there; nor without a file."""
    others = (
        DOCKER._replace(user=ANN),
        Container("lxc", "web"),
        Container("containerd", ID, UID),
        Container("crio", OTHER, UID),
        Container("", OTHER),
    )
    names = names_in(tmp_path)
    assert names.of(DOCKER) == ""
    assert not names.unlisted
    names_file(tmp_path, {ID: ContainerEntry()})
    names = names_in(tmp_path)
    assert [names.of(each) for each in (DOCKER, *others)] == ["", "", "web", "", "", ""]
    assert not names.unlisted


@pytest.mark.parametrize("content", ["", "rubbish", "zabbix-sockets names 2 1\n"])
def test_a_file_that_is_none(tmp_path: Path, content: str) -> None:
    """A file that can't be understood lacks every container."""
    write(tmp_path, NAMES_FILE.strip("/"), content)
    names = names_in(tmp_path)
    assert names.of(DOCKER) == ""
    assert names.unlisted == {ID}


def test_published_ports(tmp_path: Path) -> None:
    """They are the file's; without one the runtime's, of docker only while the container runs."""
    bindings = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    ports = (PublishedPorts("tcp", bytes((127, 0, 0, 1)), 8080, 8080),)
    state = docker("/web") | {"NetworkSettings": {"Ports": bindings}}
    assert names_in(tmp_path).ports_of(DOCKER) == ()
    assert names_in(tmp_path).ports_of(PODMAN) == ()
    write(tmp_path, DOCKER_FILE, state | {"State": {"Running": False}})
    assert names_in(tmp_path).ports_of(DOCKER) == ()
    write(tmp_path, DOCKER_FILE, state)
    assert names_in(tmp_path).ports_of(DOCKER) == ports
    assert names_in(tmp_path).ports_of(DOCKER._replace(user=ANN)) == ()
    assert names_in(tmp_path).ports_of(Container("containerd", ID)) == ()
    other = (PublishedPorts("udp", b"", 53, 53),)
    names_file(tmp_path, {ID: ContainerEntry("web", ports=other)})
    assert names_in(tmp_path).ports_of(DOCKER) == other
    assert names_in(tmp_path).ports_of(PODMAN) == other
