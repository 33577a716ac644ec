"""Files of conf/ as former versions had them: on a host they are this package's, and nobody's own.

Version 0.1.0 was installed by copying these files by hand, with the path of its environment.
"""

from __future__ import annotations

import re

from zabbix_sockets.host.own_files import COMMAND
from zabbix_sockets.setup.files import digest

_CALL = re.compile(rb"/[^\s=,]+/bin/python3 -I -m zabbix_sockets(?![\w.])")

_DIGESTS = {
    "zabbix_sockets.conf": {
        "62785280fd2b8a6097dd868dadb70821852eee9d72bdb49a928c52d45a06a269",
        "5923056a15de8f7b3695ddd1c0b9229c9f67729f1dc829a7a148063fbb6efd20",
    },
    "zabbix-sockets-load.service": {
        "41b03099fb1463149e889d99612705fe7e6de17463a31871de1a57b2fa4b59d7",
        "2d919db2ddca9fb3d3bb4ae1434e05b1be043c1e32e04907c1f92f1ca37b9288",
    },
    "zabbix-sockets-send.service": {
        "d0450ef91edd5bfb96d87a5bc1ff0b8b52f7901e1eb9a33a1e2c1ce39e318a2b",
        "5dca62454b0677a5db86692aa2bf50ba4eb6c10efd257dfb804401f750567807",
        "a52328e18406f02e3a1a300644749357f0c8ce0af775be845373b12609892ec7",
    },
    "run-zabbix\\x2dsockets.mount": {
        "3a6f6a10f16c56254957066387ad447fa955f69ac75be2325cb59f3131fcd9b7",
        "d3c08da9aef57a9fbce900fadf948f82e6b00fe366a8fef050e6b705d6ff7d53",
    },
}
"""By the name of each file: the digests, with COMMAND as the call of the command."""


def is_former(name: str, content: bytes, shipped: bytes) -> bool:
    """Whether *content* is the file *name* of conf/ as this or a former version brought it.

    *shipped* is the file as this one does. An environment's path may be in the place of COMMAND.
    """
    plain = _CALL.sub(COMMAND.encode(), content)
    return plain == shipped or digest(plain) in _DIGESTS.get(name, ())
