"""The pictures of docs/: a made-up host's dashboard, data, problems and map, in each version.

python -m tests.zabbix.pictures    makes docs/images/ anew (as root)
"""

from __future__ import annotations

import html
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page

from . import programs, scenery, templates
from .browser import Browser, running
from .pages import PAGES, dashboard, latest_data, problems, turn
from .servers import SERVER_VERSIONS, Host, Server, Servers
from .shop import NAME, Town

IMAGES = Path(__file__).parents[2] / "docs" / "images"

_HOURS = 6
_COLORS = 256

_TERMINAL = """<body style="margin: 0; padding: 16px 20px; display: inline-block;
background: #1f2c33; color: #ebeef0"><pre style="margin: 0; font: 15px/1.45 'DejaVu Sans Mono'">
{}</pre></body>"""


def _save(seen: Page | Locator, name: str) -> None:
    """Save what is seen, in few enough colours to be small."""
    picture = Image.open(BytesIO(seen.screenshot(animations="disabled"))).convert("RGB")
    pixels = np.asarray(picture).reshape(-1, 3) @ np.array([1 << 16, 1 << 8, 1])
    packed, places, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    colors = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    # Colourful ones first: thin lines rather than one more shade of a text.
    weights = counts * (16 + np.ptp(colors, axis=1))
    kept = colors[np.argsort(weights)[-_COLORS:]]
    nearest = np.square(colors[:, None] - kept[None]).sum(axis=2).argmin(axis=1)
    reduced = Image.frombytes("P", picture.size, nearest[places].astype(np.uint8).tobytes())
    reduced.putpalette(kept.astype(np.uint8).tobytes())
    reduced.save(IMAGES / f"{name}.png", optimize=True)


def _host(server: Server) -> Host:
    """Create the host with the name that is seen, which no other on that server has."""
    templates.import_yaml(server, templates.current("trapper", server.version))
    (groupid,) = server.api.hostgroup.create(name="Shop")["groupids"]
    created = server.api.host.create(
        host=scenery.NAME,
        groups=[{"groupid": groupid}],
        templates=[{"templateid": templates.find(server, "trapper")}],
        macros=scenery.MACROS,
    )
    server.reload()
    return Host(created["hostids"][0], scenery.NAME, groupid)


def _take(browser: Browser, server: Server) -> None:
    host = _host(server)
    scenery.tell(server, host, _HOURS)
    with dashboard(browser, server, host.hostid, _HOURS) as page:
        for name in PAGES:
            turn(page, name)
            _save(page, f"{name.lower()}-{server.version}")
    with latest_data(browser, server, host.hostid, "processes") as page:
        _save(page, f"latest-data-{server.version}")
    with problems(browser, server, host.hostid, _HOURS) as page:
        _save(page, f"problems-{server.version}")


def _take_map(browser: Browser, server: Server) -> None:
    town = Town(server, server.directory)
    assert town.shown().status == 0
    with browser.page(
        server, f"zabbix.php?action=map.view&sysmapid={town.map(NAME)['sysmapid']}"
    ) as page:
        page.wait_for_selector("svg text")
        _save(page.locator(".map-container, [id^=map]").first, f"map-{server.version}")


def _take_terminal(browser: Browser) -> None:
    command = [sys.executable, "-m", f"{__package__}.terminal"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    page = browser._chromium.new_page()
    page.set_content(_TERMINAL.format(html.escape(printed.rstrip())))
    _save(page.locator("body"), "terminal")
    page.close()


def main() -> None:
    """Take all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with programs.directory() as root, running(root / "home") as browser:
        _take_terminal(browser)
        servers = Servers(root)
        try:
            for version in SERVER_VERSIONS:
                # With one process of a kind all events come in the order of their values.
                with servers.fresh(version, StartDBSyncers=1, StartPreprocessors=1) as server:
                    _take(browser, server)
                with servers.fresh(version, StartDBSyncers=1, StartPreprocessors=1) as server:
                    _take_map(browser, server)
        finally:
            servers.stop()


if __name__ == "__main__":
    main()
