"""The pages in a real browser: Debian's Chromium, driven by Playwright.

`browser.py` starts the browser and says how a page is looked at, `conftest.py` holds the fixtures:
`chromium`, `our_pages` (our own pages alone) and `ui`, the whole of `wmtp ui`, with a `session`;
all over the sample. All of it is slow; nothing is skipped in CI, where `.ci/run` installs Chromium.
"""
