"""Open every built page in headless Chromium and see whether it is what a reader needs.

Run from the repository, after `sphinx-build docs docs/_build/html`: python -m experiments.studies
browser (a few minutes; needs `selenium`, chromium and chromedriver). At the width of a desktop and
of a phone, of every page: it does not scroll sideways, its pictures load, what the copy button of a
block copies is the code, the console shows no error, and nothing is loaded from another host. Exits
with 1 and names the pages if not, and with 0 and a reason if there is no browser.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import http.server
import json
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

# Width and height in CSS pixels, and whether the browser is that of a phone.
SCREENS = {"desktop": (1280, 900, False), "phone": (400, 800, True)}
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage"
)
STATE = """
const images = [...document.images];
images.forEach((image) => { image.loading = "eager"; });
return Promise.all(images.map((image) => image.decode().catch(() => null))).then(() => {
  const wide = [...document.querySelectorAll("article *")].filter(
    (element) => element.getBoundingClientRect().right > window.innerWidth + 1
      && !element.closest("pre, .formula, .table-wrapper, .sig"));
  return {
    width: document.documentElement.scrollWidth,
    room: window.innerWidth,
    images: images.length,
    broken: images.filter((image) => image.naturalWidth === 0).map((image) => image.src),
    wide: wide.slice(0, 3).map((element) => element.outerHTML.slice(0, 80)),
  };
});
"""


@dataclasses.dataclass
class Totals:
    """What was counted at one width."""

    pages: int = 0
    images: int = 0
    copied: int = 0
    requests: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    console = Console(width=160)
    if reason := missing():
        console.print(f"not checked: {reason}")
        return 0
    totals = check_pages(options.site, options.pages, screenshots=options.screenshots)
    for name, found in totals.items():
        console.print(
            f"{name}, {SCREENS[name][0]} pixels: {found.pages} pages, {found.images} pictures, "
            f"{found.copied} blocks copied, {found.requests} requests; wrong: {len(found.wrong)}"
        )
        for line in found.wrong:
            console.print(f"  {line}", highlight=False, soft_wrap=True)
    return int(any(found.wrong for found in totals.values()))


def missing() -> str | None:
    """Return what there is no browser for want of, or None."""
    try:
        import selenium  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        return "selenium is not installed"
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    return None


def check_pages(
    site: Path, pages: list[str] | None = None, *, screenshots: Path | None = None
) -> dict[str, Totals]:
    """Check built pages at every width.

    Args:
        site: folder of a built site.
        pages: their paths in it; None for all.
        screenshots: folder for a picture of every page at every width; None for none.

    Raises:
        ValueError: there are no pages.
    """
    names = pages or sorted(
        path.relative_to(site).as_posix()
        for path in site.rglob("*.html")
        if path.name not in ("genindex.html", "search.html", "py-modindex.html")
    )
    if not names:
        raise ValueError(f"site: got {site}, expected a folder with pages")
    totals = {}
    for screen, (width, height, phone) in SCREENS.items():
        with _served(site) as root, _browser(root) as driver:
            driver.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone},
            )
            totals[screen] = Totals()
            for name in names:
                _check_page(driver, root, name, totals[screen], touch=phone)
                if screenshots is not None:
                    _photograph(driver, screenshots / screen / f"{name.replace('/', '-')}.png")
    return totals


def _check_page(driver: Any, root: str, name: str, totals: Totals, *, touch: bool) -> None:
    driver.get(f"{root}/{name}")
    state = driver.execute_script(STATE)
    wrong = [f"picture does not load: {source}" for source in state["broken"]]
    if state["width"] > state["room"]:
        wrong.append(f"{state['width']} pixels wide, {state['room']} are there: {state['wide']}")
    copied, differs = _copy_all(driver, touch=touch)
    wrong += differs
    wrong += [line["message"] for line in driver.get_log("browser") if line["level"] == "SEVERE"]
    requests = list(_requests(driver))
    wrong += [f"loaded from elsewhere: {url}" for url in requests if not url.startswith(root)]
    totals.pages += 1
    totals.images += state["images"]
    totals.copied += copied
    totals.requests += len(requests)
    totals.wrong += [f"{name}: {line}" for line in wrong]


def _copy_all(driver: Any, *, touch: bool) -> tuple[int, list[str]]:
    """Press the copy button of every block, and compare the clipboard with what it should be."""
    from selenium.webdriver import ActionChains  # pyright: ignore[reportMissingImports]

    blocks = driver.find_elements("css selector", "div.highlight")
    wrong = []
    for block in blocks:
        code = block.find_element("tag name", "pre").get_attribute("textContent")
        buttons = block.find_elements("css selector", "button.copybtn")
        if len(buttons) != 1:
            wrong.append(f"{len(buttons)} copy buttons at {code[:40]!r}")
            continue
        show = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})"
        driver.execute_script(show, buttons[0])
        driver.execute_script("navigator.clipboard.writeText('nothing was copied')")
        if not touch:
            ActionChains(driver).move_to_element(buttons[0]).perform()
        buttons[0].click()
        got = driver.execute_script("return navigator.clipboard.readText()")
        if got.rstrip() != expected_copy(code).rstrip():
            wrong.append(f"copied {got[:60]!r} of {code[:60]!r}")
    return len(blocks), wrong


def expected_copy(code: str) -> str:
    """Return what of a block is to be typed: lines after prompts if there are any, else all."""
    typed = [line for line in code.splitlines() if re.match(r">>> |\.\.\. |\$ ", line)]
    return "\n".join(re.sub(r"^(>>> |\.\.\. |\$ )", "", line) for line in typed) or code


def _requests(driver: Any) -> Iterator[str]:
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith(("data:", "blob:")):
                yield url


def _photograph(driver: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    driver.execute_script("window.scrollTo({top: 0, behavior: 'instant'})")
    driver.save_screenshot(str(path))


@contextmanager
def _served(site: Path) -> Iterator[str]:
    """Serve a folder on this machine, as long as it is used; give its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@contextmanager
def _browser(root: str) -> Iterator[Any]:
    from selenium import webdriver  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        options.binary_location = str(shutil.which("chromium"))
        logs = {"performance": "ALL", "browser": "ALL"}
        options.set_capability("goog:loggingPrefs", logs)
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        driver = webdriver.Chrome(options=options, service=service)
        try:
            permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
            driver.execute_cdp_cmd(
                "Browser.grantPermissions", {"origin": root, "permissions": permissions}
            )
            driver.get("about:blank")
            driver.get_log("performance")  # what the browser's own first page asks for
            yield driver
        finally:
            driver.quit()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.studies browser")
    parser.add_argument("--site", type=Path, default=Path("docs/_build/html"))
    parser.add_argument("--pages", nargs="+", help="paths in the site; default all")
    parser.add_argument("--screenshots", type=Path, help="folder for a picture of every page")
    return parser.parse_args(arguments)
