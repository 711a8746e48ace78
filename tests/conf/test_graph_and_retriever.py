"""The choices of the groups graph and retriever name parts that there are, and their options."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import yaml

from medenv.build.plugins import retriever_factory
from medenv.build.settings import AUTO
from medenv.kg.sources import KG_SOURCES
from medenv.kg.sources.tsv import TsvConfig

CONF = Path(__file__).parents[2] / "conf"


def choices(group: str) -> list[Path]:
    """All choices but `custom`, which names any part."""
    return [path for path in sorted((CONF / group).glob("*.yaml")) if path.stem != "custom"]


@pytest.mark.parametrize("file", choices("graph"), ids=lambda p: p.stem)
def test_a_graph_choice_fits_its_source(file: Path) -> None:
    found = yaml.safe_load(file.read_text())
    assert set(found) <= {"source", "path", "options"}
    assert found["source"] == file.stem
    if found["source"] not in (AUTO, "none", "toy"):
        path = [] if found["source"] == "merged" else ["path"]
        factory = KG_SOURCES.load(found["source"])
        inspect.signature(factory).bind(*path, **found.get("options", {}))
    if found["source"] == "tsv":
        assert set(found["options"]) <= set(TsvConfig.__struct_fields__)


@pytest.mark.parametrize("file", choices("retriever"), ids=lambda p: p.stem)
def test_a_retriever_choice_fits_its_factory(file: Path) -> None:
    found = yaml.safe_load(file.read_text())
    assert set(found) == {"name", "options"}
    retriever_factory({found["name"]: found["options"]})
