"""Pages of Zabbix's frontend on which a host of ours is seen, opened and ready to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from playwright.sync_api import Page

from . import templates
from .browser import Browser
from .servers import Server

PAGES = ("Overview", "Listeners", "Collector", "Quality", "Traffic")
"""The pages of the templates' dashboard."""

# All that a page of the dashboard has is there: widgets with contents and none of another page,
# whose images have arrived; graphs of rows where there are any.
_TURNED = """([name, rows]) => {
    const all = (selector, within = document) => [...within.querySelectorAll(selector)];
    const widgets = all('.dashboard-grid-widget'), iterators = all('.dashboard-grid-iterator');
    const contents = '.dashboard-grid-widget-content, .dashboard-grid-widget-body';
    const turned = widgets.length > 0
        && widgets.every(widget => (widget.dataset.page ?? name) === name)
        && !all('.is-loading, .dashboard-grid-widget-placeholder').length
        && widgets.every(widget => all(contents, widget).some(each => each.childElementCount))
        && (!rows || iterators.every(each => all('.dashboard-grid-widget', each).length))
        && all('.flickerfreescreen').every(screen => all('img', screen).length)
        && all('img').every(image => image.complete);
    if (turned) {
        widgets.forEach(widget => { widget.dataset.page = name; });
    }
    return turned;
}"""


@contextmanager
def dashboard(browser: Browser, server: Server, hostid: str, hours: int) -> Iterator[Page]:
    """Open the host's dashboard for the last *hours*, its filter of the time folded away."""
    templateid = templates.find(server, "trapper")
    (found,) = server.api.templatedashboard.get(templateids=templateid, output=["dashboardid"])
    where = {
        "action": "host.dashboard.view",
        "hostid": hostid,
        "dashboardid": found["dashboardid"],
        "from": f"now-{hours}h",
        "to": "now",
    }
    with browser.page(server, f"zabbix.php?{urlencode(where)}") as page:
        _fold(page, ".time-selection-container", ".btn-time")
        yield page


def turn(page: Page, name: str, *, rows: bool = True) -> None:
    """Turn to a page of the dashboard, and return when all of it is shown.

    Where no *rows* have been discovered there are no graphs of them to wait for.
    """
    page.locator(".dashboard-navigation-tabs").get_by_text(name, exact=True).click()
    _unfocus(page)
    page.wait_for_function(_TURNED, arg=[name, rows])


@contextmanager
def latest_data(browser: Browser, server: Server, hostid: str, component: str) -> Iterator[Page]:
    """Open the latest data of the items that have this tag."""
    where = {
        "action": "latest.view",
        "hostids[]": hostid,
        "tags[0][tag]": "component",
        "tags[0][operator]": 1,  # equals
        "tags[0][value]": component,
        "show_tags": 0,
        "filter_set": 1,
    }
    with browser.page(server, f"zabbix.php?{urlencode(where)}") as page:
        _fold(page, ".tabfilter-tabs-container form", ".tabfilter-item-link")
        yield page


@contextmanager
def problems(browser: Browser, server: Server, hostid: str, hours: int) -> Iterator[Page]:
    """Open the host's problems of the last *hours*, also those that are over."""
    where = {
        "action": "problem.view",
        "hostids[]": hostid,
        "show": 2,  # history
        "filter_custom_time": 1,
        "from": f"now-{hours}h",
        "to": "now",
        "filter_set": 1,
    }
    with browser.page(server, f"zabbix.php?{urlencode(where)}") as page:
        _fold(page, ".tabfilter-tabs-container form", ".tabfilter-item-link")
        yield page


def _fold(page: Page, what: str, handle: str) -> None:
    if page.locator(what).first.is_visible():
        page.locator(handle).first.click()
        page.locator(what).first.wait_for(state="hidden")
    _unfocus(page)


def _unfocus(page: Page) -> None:
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
