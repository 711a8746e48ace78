from pathlib import Path

import numpy as np
import pytest

from medenv.errors import DataError
from medenv.kg import Documents, Graph, toy_graph


def test_a_saved_graph_comes_back_the_same(graph: Graph, tmp_path: Path) -> None:
    graph.save(tmp_path / "saved")
    loaded = Graph.load(tmp_path / "saved")
    assert (loaded.info, loaded.nodes, loaded.kinds) == (graph.info, graph.nodes, graph.kinds)
    assert loaded.relations == graph.relations
    for name in graph.rows:
        assert np.array_equal(loaded.rows[name].starts, graph.rows[name].starts)
        assert np.array_equal(loaded.rows[name].tails, graph.rows[name].tails)
    disease, finding = graph.number("TOY:D1"), graph.number("TOY:P02")
    kept = loaded.qualifiers(disease, "has_phenotype", finding)
    assert kept == graph.qualifiers(disease, "has_phenotype", finding)
    assert Documents(loaded).passages == Documents(graph).passages


def test_loaded_arrays_stay_on_disk_until_touched(graph: Graph, tmp_path: Path) -> None:
    graph.save(tmp_path / "saved")
    tails = Graph.load(tmp_path / "saved").rows["has_gene"].tails
    assert isinstance(tails.base, np.memmap)


def test_saving_the_same_graph_twice_changes_nothing_and_leaves_no_scratch(tmp_path: Path) -> None:
    toy_graph().save(tmp_path / "saved")
    toy_graph().save(tmp_path / "saved")
    assert [entry.name for entry in tmp_path.iterdir()] == ["saved"]


def test_a_folder_with_something_else_is_not_overwritten(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(DataError, match="not empty"):
        graph.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("graph.json", None, "cannot be read"),
        ("graph.json", b'{"format": 1', "expected a saved graph"),
        ("graph.json", b"half", "expected a saved graph"),
        ("kinds.npy", None, "cannot be read as an array"),
        ("kinds.npy", b"", "cannot be read as an array"),
        ("has_gene.tails.npy", 60, "cannot be read as an array"),
        ("has_gene.tails.npy", 132, "cannot be read as an array"),
    ],
)
def test_a_damaged_folder_is_named_with_its_file(
    graph: Graph, tmp_path: Path, name: str, content: bytes | int | None, problem: str
) -> None:
    graph.save(tmp_path / "saved")
    path = tmp_path / "saved" / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:content] if isinstance(content, int) else content)
    with pytest.raises(DataError, match=problem) as caught:
        Graph.load(tmp_path / "saved")
    assert caught.value.path == path


def test_an_array_of_the_wrong_length_is_refused(graph: Graph, tmp_path: Path) -> None:
    graph.save(tmp_path / "saved")
    np.save(tmp_path / "saved" / "kinds.npy", np.zeros(3, dtype=np.int8))
    with pytest.raises(DataError, match=r"has shape \[3\], expected \[33\]"):
        Graph.load(tmp_path / "saved")


def test_a_format_of_another_time_is_refused(graph: Graph, tmp_path: Path) -> None:
    graph.save(tmp_path / "saved")
    header = tmp_path / "saved" / "graph.json"
    header.write_bytes(header.read_bytes().replace(b'"format":1', b'"format":99', 1))
    with pytest.raises(DataError, match="has format 99"):
        Graph.load(tmp_path / "saved")
