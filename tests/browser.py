"""Pages as a real browser has them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")


def dom(page: Path, fragment: str = "") -> str:
    """Return the page after its script ran; skips where Chromium is not installed.

    Args:
        page: The HTML file.
        fragment: What stands behind `#` in its address.
    """
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--virtual-time-budget=8000", "--window-size=1200,900"),
            f"{page.as_uri()}#{fragment}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def embedded(page: str) -> Any:
    """Return the data that a page carries."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])
