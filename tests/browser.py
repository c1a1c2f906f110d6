"""Open a page in a real Chromium with the network blocked, and say what is wrong with it.

A process of tests starts one browser; each page gets a context of its own, with its own storage.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Everything that only the browser knows: layout, loaded images, computed colours.
INSPECT = """
() => {
  const problems = [];
  const say = (what, element) => problems.push(
    `${what}: <${element.tagName.toLowerCase()}> ${element.textContent.trim().slice(0, 60)}`);
  const shown = (element) => element.getClientRects().length > 0
    && getComputedStyle(element).visibility !== 'hidden';
  const page = document.scrollingElement;
  if (page.scrollWidth > innerWidth)
    problems.push(`the page scrolls sideways: ${page.scrollWidth} px in a window of ${innerWidth} px`);
  for (const image of document.images) {
    if (!image.complete || image.naturalWidth === 0) problems.push(`image not shown: ${image.alt}`);
    if (!image.alt.trim()) problems.push(`image without alternative text: ${image.src.slice(0, 60)}`);
  }
  const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
  for (const id of new Set(ids.filter((id, k) => ids.indexOf(id) !== k))) problems.push(`id twice: ${id}`);
  for (const link of document.querySelectorAll('a[href^="#"]'))
    if (!document.getElementById(decodeURIComponent(link.getAttribute('href').slice(1))))
      say(`link to nowhere ${link.getAttribute('href')}`, link);
  if (!document.querySelector('nav a[href^="#"]')) problems.push('no table of contents');
  if (!document.documentElement.lang) problems.push('no language');
  let level = 0;
  for (const heading of document.querySelectorAll('h1,h2,h3,h4,h5,h6')) {
    const now = Number(heading.tagName[1]);
    if (now > level + 1 || (now === 1 && level > 0)) say(`heading out of order after h${level}`, heading);
    level = now;
  }
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const c = colour(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!text || !shown(element)) continue;
    const style = getComputedStyle(element);
    if (parseFloat(style.fontSize) < 15 && !element.closest('sub,sup')) say(`text of ${style.fontSize}`, element);
    const [a, b] = [luminance(colour(style.color).slice(0, 3)), luminance(ground(element))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) say(`contrast ${contrast.toFixed(2)}`, element);
  }
  return problems;
}
"""


def find_browser() -> str:
    """Path of a Chromium (SWATCHBOOK_BROWSER, else the PATH, else Playwright's own); skips without one."""
    named = os.environ.get("SWATCHBOOK_BROWSER")
    if named:
        return named
    on_path = [path for name in NAMES if (path := shutil.which(name))]
    if on_path:
        return on_path[0]
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        own = driver.chromium.executable_path
    if not Path(own).is_file():
        pytest.skip("no Chromium on the PATH; install one, or name it in SWATCHBOOK_BROWSER")
    return own


@cache
def _started() -> tuple:
    """Playwright, its browser and its event loop, which stays this thread's running one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = find_browser()
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    driver = playwright.sync_playwright().start()
    loop = asyncio.get_running_loop()
    return driver, driver.chromium.launch(executable_path=executable, args=["--no-sandbox"] * as_root), loop


@contextmanager
def new_context(**options) -> Iterator:
    """A context of the browser; outside of it the thread has no running event loop, as other tests expect."""
    _, browser, loop = _started()
    asyncio._set_running_loop(loop)
    try:
        context = browser.new_context(**options)
        try:
            yield context
        finally:
            context.close()
    finally:
        asyncio._set_running_loop(None)


def stop_browser() -> None:
    """Close the browser, if one was started."""
    if _started.cache_info().currsize:
        driver, browser, loop = _started()
        asyncio._set_running_loop(loop)
        browser.close()
        driver.stop()
        asyncio._set_running_loop(None)
        _started.cache_clear()


@contextmanager
def open_page(path: Path, width: int, problems: list[str]) -> Iterator:
    """The page in a window of the given width, offline; failed requests and console errors are noted."""
    with new_context(viewport={"width": width, "height": 900}, offline=True) as context:

        def guard(route) -> None:
            if route.request.url.startswith(("file:", "data:")):
                route.continue_()
            else:
                route.abort()

        context.route("**/*", guard)
        page = context.new_page()
        page.on("requestfailed", lambda request: problems.append(f"request failed: {request.url[:200]}"))
        page.on(
            "console",
            lambda message: (
                problems.append(f"console {message.type}: {message.text}")
                if message.type in {"error", "warning"}
                else None
            ),
        )
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        page.goto(Path(path).resolve().as_uri(), wait_until="load")
        yield page


def check_page(path: Path, width: int) -> list[str]:
    """Everything that is wrong with a page at a window width in CSS pixels; empty if nothing is.

    Looked for: failed requests, console messages, missing images and alternative texts, a page that scrolls
    sideways, links that lead nowhere, folds that stay shut, headings out of order, text below 15 px, contrast
    below 4.5. Folds are opened before the second look, so what they hide is held to the same.
    """
    problems: list[str] = []
    with open_page(path, width, problems) as page:
        problems += page.evaluate(INSPECT)
        for fold in page.locator("details").all():
            if not fold.is_visible():
                continue
            fold.locator("summary").first.click()
            if not fold.evaluate("fold => fold.open"):
                problems.append(f"fold does not open: {fold.inner_text()[:60]}")
        problems += [each for each in page.evaluate(INSPECT) if each not in problems]
        contents = page.locator("nav a[href^='#']:visible")
        for k in range(contents.count()):
            contents.nth(k).click()
            target = contents.nth(k).get_attribute("href")
            top = page.evaluate("id => document.getElementById(id).getBoundingClientRect().top", target[1:])
            if not -1 <= top <= 900:
                problems.append(f"contents do not lead to {target}: it is at {top:.0f} px")
    return problems
