"""A headless Chromium that looks at a server's frontend as its administrator."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, sync_playwright

from .servers import ADMIN, Server
from .stage import UnavailableError

_CHROMIUM = "/usr/bin/chromium"

_OPTIONS = [
    "--no-sandbox",  # root's has none
    "--disable-gpu",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    # Maps and links to Zabbix's own site lead nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

# Widgets, images and the page itself; graphs are images or parts of widgets.
_LOADED = """() => !document.querySelector('.is-loading')
    && [...document.images].every(image => image.complete)"""

_SECONDS = 180

# Without a graphics card each frame of what turns while a page loads takes a processor's time.
_STILL = """document.addEventListener('DOMContentLoaded', () => {
    const style = document.createElement('style');
    style.textContent =
        '*, ::before, ::after { animation: none !important; transition: none !important }';
    document.head.append(style);
})"""


class Browser:
    """Chromium, with a session of its own for each server."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._sessions: dict[str, BrowserContext] = {}

    @contextmanager
    def page(
        self, server: Server, path: str, width: int = 1920, height: int = 1080
    ) -> Iterator[Page]:
        """Open a page of the frontend, such as zabbix.php?action=report.status.

        It has finished loading, its widgets too, and shows no error. It scrolls inside:
        only what the height has room for is seen.
        """
        page = self._session(server).new_page()
        try:
            page.set_viewport_size({"width": width, "height": height})
            answer = page.goto(f"{server.url}/{path}")
            assert answer is not None
            assert answer.ok, f"{path}: {answer.status} {answer.status_text}"
            _settle(page)
            yield page
        finally:
            page.close()

    def screenshot(
        self, server: Server, path: str, file: Path, width: int = 1920, height: int = 1080
    ) -> None:
        """Save a page as a PNG of exactly that size."""
        with self.page(server, path, width, height) as page:
            page.screenshot(path=file, animations="disabled")

    def _session(self, server: Server) -> BrowserContext:
        # Cookies are the host's, whatever the port.
        if server.url not in self._sessions:
            session = self._chromium.new_context(locale="en-US", timezone_id="UTC")
            session.set_default_timeout(_SECONDS * 1000)
            session.add_init_script(_STILL)
            page = session.new_page()
            page.goto(server.url)
            for field, text in zip(("#name", "#password"), ADMIN, strict=True):
                page.fill(field, text)
            page.click("#enter")
            page.wait_for_url("**/zabbix.php?action=dashboard.*")
            page.close()
            self._sessions[server.url] = session
        return self._sessions[server.url]


def _settle(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    page.wait_for_function(_LOADED)
    complaints = set(page.locator(".msg-bad").all_inner_texts())
    assert not complaints, f"{page.url}: {complaints}"


@contextmanager
def running(home: Path) -> Iterator[Browser]:
    """Run Debian's Chromium; its driver ends it when pytest is killed."""
    if not os.access(_CHROMIUM, os.X_OK):
        raise UnavailableError(f"no {_CHROMIUM}: tests/requirements.sh installs it")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=_OPTIONS, env={**os.environ, "HOME": str(home)}
        )
        yield Browser(chromium)
        chromium.close()
