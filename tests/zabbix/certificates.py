"""Certificates of two authorities, for servers and hosts of the tests."""

import subprocess
from pathlib import Path

from .stage import require

# The programs of Debian take no other keys: theirs are the cipher suites of RSA.
_KEY = ("-newkey", "rsa:2048", "-nodes")
_DAYS = ("-days", "2")


class Certificates:
    """Files in a folder: NAME.pem and NAME.key; *authorities* have the names of whom they sign."""

    def __init__(self, folder: Path, authorities: dict[str, tuple[str, ...]]) -> None:
        require(["openssl", "version"])
        self._folder = folder
        folder.mkdir()
        for authority, names in authorities.items():
            usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
            self._openssl("req", "-x509", *usage, *_DAYS, *self._new(authority, ".pem"))
            for name in names:
                self._openssl("req", *self._new(name, ".csr"))
                by = ("-CA", self.pem(authority), "-CAkey", self.key(authority))
                request = ("-in", f"{folder}/{name}.csr", "-out", self.pem(name))
                self._openssl("x509", "-req", "-CAcreateserial", *_DAYS, *by, *request)
        for each in folder.iterdir():
            each.chmod(0o644)  # a server runs as user zabbix

    def pem(self, name: str) -> str:
        """Return the path of a certificate."""
        return f"{self._folder}/{name}.pem"

    def key(self, name: str) -> str:
        """Return the path of its private key."""
        return f"{self._folder}/{name}.key"

    def of_server(self) -> dict[str, str]:
        """Return the settings of a server or proxy that has "server", and checks others by "ca"."""
        return {
            "TLSCAFile": self.pem("ca"),
            "TLSCertFile": self.pem("server"),
            "TLSKeyFile": self.key("server"),
        }

    def _new(self, name: str, suffix: str) -> list[str]:
        out = ["-keyout", self.key(name), "-out", f"{self._folder}/{name}{suffix}"]
        return [*_KEY, "-subj", f"/CN={name}", *out]

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], capture_output=True, check=True)
