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


@pytest.mark.parametrize("file", sorted((CONF / "graph").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_graph_choice_fits_its_source(file: Path) -> None:
    text = file.read_text()
    found = yaml.safe_load(text)
    assert text.startswith("# @package graph\n")
    assert set(found) == {"source", "path", "options"}
    assert found["source"] == file.stem
    if found["source"] not in (AUTO, "none"):
        path = [] if found["path"] is None else [found["path"]]
        inspect.signature(KG_SOURCES.load(found["source"])).bind(*path, **found["options"])
    if found["source"] == "tsv":
        assert set(found["options"]) <= set(TsvConfig.__struct_fields__)


@pytest.mark.parametrize("file", sorted((CONF / "retriever").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_retriever_choice_fits_its_factory(file: Path) -> None:
    text = file.read_text()
    found = yaml.safe_load(text)
    assert text.startswith("# @package retriever\n")
    assert set(found) == {"name", "options"}
    retriever_factory({found["name"]: found["options"]})
