"""What the launcher runs: `zabbix-sockets` in a version's folder, with that folder's modules alone.

Any Python from 3.0 on can read this file, so that one that is too old can say so.
"""

import os
import sys

HOME = __file__.rpartition("/current/")[0]  # the launcher names the link, not the version
OLDEST = (3, 9)


def version_folder() -> str:
    """Return the folder of the version that is current, and keep it from being removed.

    Who removes a folder that is not current any more has to get an exclusive lock on it (see
    maintain). A lock that can't be had is no reason to give no answer.
    """
    import fcntl  # noqa: PLC0415  # which a Python without its whole library may lack

    while True:
        name = os.readlink(HOME + "/current")
        folder = HOME + "/" + name
        try:
            fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            pass
        if os.readlink(HOME + "/current") == name:
            return folder  # the descriptor stays open, and holds the lock, until this process ends


def main() -> None:
    """Run the command."""
    try:
        folder = version_folder()
        sys.path[:0] = [folder, folder + "/" + str(sys.implementation.cache_tag)]
        from zabbix_sockets.command.cli import main as run  # noqa: PLC0415  # there only now
    except ImportError:
        go_on_with_an_older_python()
        raise
    run()


def go_on_with_an_older_python() -> None:
    """Become the next older Python that is here, if one is: this one lacks a part of its library.

    So do Debian's pythonX.Y-minimal, and what is left of a Python that was removed.
    """
    for minor in range(sys.version_info[1] - 1, OLDEST[1] - 1, -1):
        python = "/usr/bin/python3." + str(minor)
        if os.access(python, os.X_OK):
            os.execv(python, [python, "-I", "-S", __file__] + sys.argv[1:])  # noqa: RUF005, S606


def say_too_old() -> None:
    """Say that this Python is, on stdout where an agent takes that for the value."""
    message = "needs Python 3.9 or later: /usr/bin has only " + sys.version.split()[0]
    if sys.argv[1:2] and sys.argv[1] in ("get", "discover", "count"):
        sys.stdout.write('{"error":"zabbix-sockets ' + message + '"}\n')
    else:
        sys.stderr.write("zabbix-sockets: it " + message + "\n")


if sys.version_info >= OLDEST:
    main()
else:
    say_too_old()
    sys.exit(1)
