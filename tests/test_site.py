"""The documentation as a site, and the files that a visitor of the repository reads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import medenv

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def listed(entry: Any) -> list[str]:
    """The pages below an entry of the navigation."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in listed(part)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        [*command, "--quiet"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_in_the_navigation_once() -> None:
    pages = listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert len(set(pages)) == len(pages)
    assert set(pages) == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_the_site_reads_alone_and_its_links_hold(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    missing = []
    for page in pages:
        text = page.read_text()
        assert not re.search(r'(?:src|rel="stylesheet" href)="https?:', text), page
        for target, anchor in re.findall(r'href="([^":?#]*)(?:#([^"]*))?"', text):
            other = (page.parent / target).resolve() if target else page
            if not other.exists():
                missing.append((page.name, target))
            elif anchor and other.suffix == ".html":
                found = other.read_text()
                if f'id="{anchor}"' not in found and f'name="{anchor}"' not in found:
                    missing.append((page.name, f"{target}#{anchor}"))
    assert [one for one in missing if one[0] != "404.html"] == []


def test_the_reference_shows_arguments_and_errors(site: Path) -> None:
    page = (site / "reference.html").read_text()
    for name in ("medenv.make", "medenv.MedResearchEnv", "medenv.reward.composition.Reward"):
        assert f'id="{name}"' in page
    assert "UnknownNameError" in page


def test_all_say_the_same_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["name"] == "medenv-rl"
    assert PROJECT["version"] == medenv.__version__ == citation["version"]
    assert citation["license"] == PROJECT["license"]


def test_ci_elsewhere_runs_what_ci_here_runs_and_needs_no_more_rights() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = [step.get("run") for step in workflow["jobs"]["test"]["steps"]]
    assert ".ci/run" in steps
    assert workflow["permissions"] == {"contents": "read"}


def test_the_image_is_made_of_files_that_are_there_and_not_run_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied
    assert all((ROOT / path).exists() for path in copied)
    assert "USER medenv" in lines
