"""Which part of a name was made up by a controller, and which names are made anew each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.cgroup_paths import is_lasting, workload_name

ID = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"
UID = "9b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"
UID_ = UID.replace("-", "_")


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-7d4b9c6f5d-x2x8k", "web"),
        ("coredns-5d78c9869d-2lq5z", "coredns"),
        ("my-web-api-6bfd8cf8c-zzzzz", "my-web-api"),
        ("old-3066853471-x2x8k", "old"),
        ("old-1a2b3c4d5e-x2x8k", "old"),
        ("web-bcdfbcdf-https", "web"),
        ("fluentd-x8k2z", "fluentd"),
        ("kube-proxy-bcdfg", "kube-proxy"),
        ("virt-launcher-vm1-hx7q9", "virt-launcher-vm1"),
        ("backup-28391040-abcde", "backup"),
        ("backup-1586779200-x2x8k", "backup"),
        ("backup-28391040-3-x2x8k", "backup"),
        ("db-0", None),
        ("kafka-broker-12", None),
        ("kube-apiserver-node1", None),
        ("etcd-ip-10-0-0-1", None),
        ("my-redis", None),
        ("my-nginx", None),
        ("nginx-proxy", None),
        ("nginx-https", None),
        ("db-pgsql", None),
        ("web", None),
        ("x2x8k", None),
        ("-x2x8k", None),
        ("web-7d4b9c6f5d", None),
        ("my-facade-x2x8k", "my-facade"),
        ("", None),
        # a base that was cut at 58 characters, within and before the hash
        ("a" * 52 + "-7d4b9" + "x2x8k", "a" * 52),
        ("a" * 58 + "x2x8k", "a" * 58),
        ("a" * 57 + "x2x8k", None),
    ],
)
def test_workload_names(pod: str, workload: str | None) -> None:
    """What a controller made up is taken off, and nothing that people chose."""
    assert workload_name(pod) == (pod if workload is None else workload)


@given(st.text(max_size=80))
def test_workload_of_any_name(pod: str) -> None:
    """A workload's name is the beginning of the pod's."""
    workload = workload_name(pod)
    assert pod.startswith(workload)
    assert bool(workload) == bool(pod)


@pytest.mark.parametrize(
    ("name", "lasting"),
    [
        ("", False),
        (UID, False),
        (UID.upper(), False),
        (f"x{UID_}y", False),
        (f"vol-{UID}-a", False),
        (ID, False),
        ("runner-0123456789ab", False),
        ("job-202401011200", False),
        ("web", True),
        ("runner-0123456789a", True),  # 11 digits
        ("deadbeefdeadbeef", True),  # letters alone
        ("kube-system/coredns", True),
        ("a\\x2d123456789ab", True),  # the escape's digits don't count
        ("a\\x2d1123456789ab", False),
        ("docker-*.scope", True),
    ],
)
def test_lasting_names(name: str, lasting: bool) -> None:
    """A UUID or 12 hex digits with a decimal one among them are made anew."""
    assert is_lasting(name) == lasting
