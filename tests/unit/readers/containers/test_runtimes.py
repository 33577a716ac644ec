"""Names of containers from files as docker, podman, the kubelet and nerdctl write them."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.placement import Container
from zabbix_sockets.readers.containers import homes, runtimes
from zabbix_sockets.readers.containers.homes import Homes
from zabbix_sockets.readers.containers.runtimes import ContainerNames
from zabbix_sockets.readers.proc import passwd
from zabbix_sockets.readers.proc.mounts import Mounts

from ...localmounts import local_mounts  # noqa: TID252  # a test folder is no package

ID = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"
OTHER = "b7" * 32
UID = "9b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"
STATIC = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
DOCKER = Container("docker", ID)
PODMAN = Container("podman", ID)
ANN, BOB = 1000, 1001
DOCKER_FILE = f"var/lib/docker/containers/{ID}/config.v2.json"
STORE = "containers/storage/overlay-containers/containers.json"
ROOTLESS = f"home/ann/.local/share/{STORE}"
BUNDLE = f"io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"
PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\n"
    "daemon:x:2:2::/var/daemon:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    "broken:x:many:1::/home/broken:/bin/sh\n"
    "ann:x:1000:1000:Ann,,,:/home/ann:/bin/bash\n"
    "bob:x:1001:1001::/home/bob:/bin/bash\n"
)


TIME = Deadline(600)


def names_in(root: Path, *more: str, deadline: Deadline = TIME) -> ContainerNames:
    """Return the names that the files below *root* tell; *more* are lines of mounts."""
    return ContainerNames(Homes(local_mounts(root, *more), str(root)), deadline, str(root))


def container_name(container: Container, root: str) -> str:
    """Return what a new call calls a container."""
    return names_in(Path(root)).of(container)


def write(root: Path, path: str, content: object) -> Path:
    """Write a file below *root*, as JSON if it is no text."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def docker(name: str, labels: dict[str, str] | None = None) -> dict[str, object]:
    """Return a container's state as docker keeps it."""
    return {
        "StreamConfig": {},
        "State": {"Running": True, "Pid": 4711, "ExitCode": 0},
        "ID": ID,
        "Created": "2024-05-01T10:11:12.131415161Z",
        "Path": "/docker-entrypoint.sh",
        "Args": ["nginx", "-g", "daemon off;"],
        "Config": {"Hostname": ID[:12], "Image": "nginx", "Env": ["A=é"], "Labels": labels or {}},
        "Image": f"sha256:{OTHER}",
        "Name": name,
        "Driver": "overlay2",
    }


def stored(name: str, number: str = ID) -> dict[str, object]:
    """Return an entry of containers/storage's list."""
    return {
        "id": number,
        "names": [name],
        "image": OTHER,
        "layer": OTHER[::-1],
        "metadata": '{"image-name":"docker.io/library/nginx:latest","name":"x"}',
        "created": "2024-05-01T10:11:12.131415161Z",
        "flags": {"MountLabel": "", "ProcessLabel": ""},
    }


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
    monkeypatch.setattr(runtimes, "MAX_SIZE", size)
    assert container_name(PODMAN, str(tmp_path)) == "web"
    monkeypatch.setattr(runtimes, "MAX_SIZE", size - 1)
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


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the paths that are opened from now on."""
    paths: list[str] = []
    real: Callable[..., int] = os.open

    def watch(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        paths.append(str(path))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", watch)
    return paths


def numbers(count: int) -> list[str]:
    """Return ids of containers."""
    return [f"{at:064x}" for at in range(1, count + 1)]


@pytest.mark.parametrize("user", [None, ANN])
def test_a_store_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int | None
) -> None:
    """However many containers there are, each store and each folder is read once a call."""
    write(tmp_path, "etc/passwd", PASSWD)
    entries = [stored(f"web{at}", number) for at, number in enumerate(numbers(100))]
    write(tmp_path, ROOTLESS if user else f"var/lib/{STORE}", entries)
    (tmp_path / "var/log/pods").mkdir(parents=True)
    names, paths = names_in(tmp_path), opened(monkeypatch)
    found = [names.of(Container("podman", number, user=user)) for number in numbers(100)]
    assert found == [f"web{at}" for at in range(100)]
    assert len([path for path in paths if path.endswith("containers.json")]) <= 12
    assert len(paths) < 100
    assert names.complete


def test_a_users_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user has beyond his share is as good as none; others and root have theirs."""
    write(tmp_path, "etc/passwd", PASSWD)
    huge = [stored("fake"), *({} for _ in range(400_000))]
    assert homes.USER_BYTES < len(json.dumps(huge)) < runtimes.MAX_SIZE
    write(tmp_path, ROOTLESS, huge)
    write(tmp_path, ROOTLESS.replace("ann", "bob"), [stored("web")])
    write(tmp_path, f"var/lib/{STORE}", [*huge[1:], stored("root")])
    names = names_in(tmp_path)
    assert names.of(PODMAN._replace(user=ANN)) == ""
    assert names.of(PODMAN._replace(user=BOB)) == "web"
    assert names.of(PODMAN) == "root"
    assert names.complete  # it will be so at each call
    size = (tmp_path / ROOTLESS.replace("ann", "bob")).stat().st_size
    monkeypatch.setattr(homes, "USER_BYTES", 3 * size - 1)
    for driver in ("vfs", "btrfs"):
        write(tmp_path, ROOTLESS.replace("overlay", driver).replace("ann", "bob"), [stored("web")])
    paths = opened(monkeypatch)
    assert names_in(tmp_path).of(PODMAN._replace(user=BOB)) == "web"
    read = [path for path in paths if path.startswith("/proc/self/fd/")]
    assert len(read) == 2


def test_a_users_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of containers that a user pretends to have cost no look-up each."""
    write(tmp_path, "etc/passwd", PASSWD)
    names, paths = names_in(tmp_path), opened(monkeypatch)
    for number in numbers(3000):
        assert names.of(Container("docker", number, user=ANN)) == ""
    assert len(paths) <= homes.USER_FILES * 8
    assert names.complete


def test_all_users_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When many users' files are too much together, names are missing and the answer says so."""
    write(tmp_path, "etc/passwd", PASSWD)
    size = write(tmp_path, ROOTLESS, [stored("web")]).stat().st_size
    write(tmp_path, ROOTLESS.replace("ann", "bob"), [stored("web")])
    monkeypatch.setattr(homes, "ALL_BYTES", 2 * size - 1)
    names = names_in(tmp_path)
    assert names.of(PODMAN._replace(user=ANN)) == "web"
    assert names.complete
    assert names.of(PODMAN._replace(user=BOB)) == ""
    assert not names.complete


def test_no_time_for_names(tmp_path: Path) -> None:
    """Names that could not be looked for are none, and the answer says so; known ones stay."""
    write(tmp_path, f"var/lib/{STORE}", [stored("web")])
    names = names_in(tmp_path, deadline=Deadline(0))
    assert names.complete
    assert names.of(Container("lxc", "web-1")) == "web-1"
    assert names.complete
    assert names.of(PODMAN) == ""
    assert not names.complete


def test_time_that_passes_meanwhile(tmp_path: Path) -> None:
    """What is found in time is a name; what is looked for later is none."""

    class Looks(Deadline):
        """Passes when it has been looked at so many times."""

        left = 20

        def passed(self) -> bool:
            self.left -= 1
            return self.left < 0

    folder = "var/lib/nerdctl/1935db59/names/default"
    for at, number in enumerate(numbers(50)):
        write(tmp_path, f"{folder}/web{at}", number)
    names = names_in(tmp_path, deadline=Looks(600))
    found = [names.of(Container("containerd", number)) for number in numbers(50)]
    assert not names.complete
    assert found.count("") > 30


@pytest.mark.parametrize("filesystem", ["nfs4", "autofs", "fuse.sshfs", "cifs"])
@pytest.mark.parametrize("where", ["home", "home/ann", "home/ann/.local"])
def test_homes_that_may_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filesystem: str, where: str
) -> None:
    """A home that waits for somebody is not touched, nor what is mounted below one."""
    write(tmp_path, "etc/passwd", PASSWD)
    write(tmp_path, ROOTLESS, [stored("web")])
    write(tmp_path, DOCKER_FILE.replace("var/lib", "home/ann/.local/share"), docker("/web"))
    names = names_in(tmp_path, f"99 1 0:99 / {tmp_path}/{where} rw - {filesystem} x rw")
    paths = opened(monkeypatch)
    inner = where.rpartition("/")[2]
    assert names.of(PODMAN._replace(user=ANN)) == ""
    assert names.of(DOCKER._replace(user=ANN)) == ""
    assert inner not in paths
    assert not [path for path in paths if path.startswith(f"{tmp_path}/{where}")]
    assert names.complete


def test_a_mount_that_came_since(tmp_path: Path) -> None:
    """A mount that is none of those that were read is not entered: it may hang."""
    write(tmp_path, "etc/passwd", PASSWD)
    write(tmp_path, ROOTLESS, [stored("web")])
    mounts = local_mounts(tmp_path)
    text = (tmp_path / "proc/self/mountinfo").read_text()
    (tmp_path / "proc/self/mountinfo").write_text(text.replace(text.split()[0], "123456789"))
    names = ContainerNames(Homes(mounts, str(tmp_path)), TIME, str(tmp_path))
    assert names.of(PODMAN._replace(user=ANN)) == ""


def test_only_that_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No home is looked into for what root runs, and only his own for what a user runs."""
    write(tmp_path, "etc/passwd", PASSWD)
    for user in ("ann", "bob"):
        write(tmp_path, ROOTLESS.replace("ann", user), [stored(user)])
    names, paths = names_in(tmp_path), opened(monkeypatch)
    for runtime in ("docker", "podman", "crio", "containerd", ""):
        assert names.of(Container(runtime, ID)) == ""
    assert not [path for path in paths if path.startswith(f"{tmp_path}/home")]
    assert names.of(PODMAN._replace(user=BOB)) == "bob"
    assert f"{tmp_path}/home/bob" in paths
    assert f"{tmp_path}/home/ann" not in paths
