"""Where a process is: in which systemd unit, and in which container."""

from zabbix_sockets.model.light_typing import NamedTuple, Optional


class Container(NamedTuple):
    """A container, as the host's runtime knows it.

    Attributes:
        runtime: docker, podman, containerd, crio, lxc, nspawn or libvirt (a virtual
            machine); empty if the path doesn't tell.
        id: 64 hex digits; of lxc, nspawn and libvirt the machine's name. Empty for a process
            in a pod's cgroup that is in none of its containers.
        pod: the UID of the pod, with dashes; a static pod's has none.
        user: the uid of the user in whose slice it is (user.slice/user-UID.slice, to which
            nobody else can bring a cgroup but root): such a one is rootless. None: in no user's,
            or in root's.
    """

    runtime: str
    id: str
    pod: str = ""
    user: Optional[int] = None


class Placement(NamedTuple):
    """The unit and the container of a process.

    The unit is empty, the container None, if its cgroup's path tells none.
    """

    unit: str = ""
    container: Optional[Container] = None
