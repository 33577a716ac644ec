"""Zabbix's frontend on PHP's own web server: its pages, and the API."""

import shutil
from pathlib import Path

from . import programs
from .agents import CACHE, free_port
from .database import USER, Database
from .programs import Program, listens
from .stage import UnavailableError

_EXTENSIONS = {"bcmath", "gd", "mbstring", "pgsql", "xml"}

_SETTINGS = {
    "post_max_size": "64M",
    "max_execution_time": "300",
    "memory_limit": "512M",
    "date.timezone": "UTC",
    "opcache.enable_cli": "1",
    "opcache.validate_timestamps": "0",
    "opcache.file_cache_consistency_checks": "0",
}

# Others' /tmp may be closed to user zabbix.
_DIRECTORIES = ["opcache.lockfile_path", "session.save_path", "sys_temp_dir"]


def start(version: str, directory: Path, database: Database, server: int) -> tuple[str, Program]:
    """Start the frontend for the server on port *server*; return its URL, too."""
    php = shutil.which("php")
    if php is None:
        raise UnavailableError("no php: tests/requirements.sh installs php8.2-cli")
    missing = _EXTENSIONS.difference(programs.run([php, "-m"]).lower().split())
    if missing:
        raise UnavailableError(f"php has no {', '.join(sorted(missing))}")
    configuration = directory / "zabbix.conf.php"
    configuration.write_text(f"""<?php
$DB['TYPE'] = 'POSTGRESQL';
$DB['SERVER'] = '{database.cluster.directory}';
$DB['DATABASE'] = '{database.name}';
$DB['USER'] = 'zabbix';
$ZBX_SERVER = '127.0.0.1';
$ZBX_SERVER_PORT = '{server}';
$ZBX_SERVER_NAME = 'Zabbix {version}';
$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
""")
    # Debian's frontend complains on each page when the locale of its language is missing.
    locales = directory / "locales"
    locales.mkdir()
    (locales / "en_US.utf8").symlink_to("/usr/lib/locale/C.utf8")
    places = dict.fromkeys(_DIRECTORIES, str(directory))
    # What one server has compiled the next one reads; it goes when another frontend is unpacked.
    compiled = CACHE / version / "compiled"
    compiled.mkdir(parents=True, exist_ok=True)
    shutil.chown(compiled, USER, USER)
    places["opcache.file_cache"] = str(compiled)
    settings = [word for item in (_SETTINGS | places).items() for word in ("-d", "=".join(item))]
    root = str(CACHE / version / "usr/share/zabbix")
    port = free_port()
    program = programs.start(
        [php, *settings, "-S", f"127.0.0.1:{port}", "-t", root],
        directory / "frontend.log",
        {
            "LOCPATH": str(locales),
            "PHP_CLI_SERVER_WORKERS": "4",
            "ZABBIX_FRONTEND_CONF": str(configuration),
        },
    )
    program.wait(lambda: listens(port))
    return f"http://127.0.0.1:{port}", program
