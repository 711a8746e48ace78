"""The commands about corpora."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medenv.build.environment import make_parts
from medenv.cli.main import app
from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.io import write_records
from medenv.kg import Documents, toy_graph
from medenv.records import Passage

PASSAGES = Documents(toy_graph()).passages


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["corpus", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_records(tmp_path / "passages.jsonl", PASSAGES)
    return tmp_path / "passages.jsonl"


def test_an_index_of_a_file_is_searched_and_plays(file: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "index")
    assert f"{len(PASSAGES):,} passages" in run("index", str(file), out)
    shown = run("search", out, PASSAGES[3].text, "--k", "2")
    assert shown.splitlines()[0].split()[1] == PASSAGES[3].id
    assert len(make_parts(corpus=out).env().questions)
    with pytest.raises(UsageError, match="already exists"):
        run("index", str(file), out)


def test_public_corpora_in_a_folder_become_one_index(tmp_path: Path) -> None:
    abstracts = [
        {"pmid": "1", "title": "Marfan", "text": "Ectopia lentis.", "year": 2001},
        {"pmid": "2", "title": "Gout", "text": "Urate crystals.", "year": 2002},
    ]
    (tmp_path / "pubmed.jsonl").write_text("\n".join(map(json.dumps, abstracts)))
    run("index", str(tmp_path), str(tmp_path / "index"))
    assert "PMID:1#0" in run("search", str(tmp_path / "index"), "ectopia lentis", "--k", "1")


def test_text_is_analysed_as_it_is_asked_for(tmp_path: Path) -> None:
    source, out = tmp_path / "p.jsonl", str(tmp_path / "index")
    write_records(source, [Passage(id="a", title="TNFα", text="Tumours"), *PASSAGES])
    run("index", str(source), out, "--option", "analysis=english")
    for query in ("tumor", "TNF-alpha"):
        assert run("search", out, query, "--k", "1").split()[1] == "a"
        assert not run("search", str(source), query, "--k", "1").startswith("a")
        found = run(
            "search", str(source), query, "--k", "1", "--option", 'analysis={"variants": true}'
        )
        assert found.split()[1] == "a"
    with pytest.raises(UsageError, match="analysis english"):
        run("search", out, "tumor", "--option", "analysis=plain")
    with pytest.raises(UnknownNameError, match="unknown analysis 'englsh'"):
        run("index", str(source), str(tmp_path / "other"), "--option", "analysis=englsh")
    with pytest.raises(UsageError, match="retriever 'remote' cannot take"):
        run(
            "search",
            "http://127.0.0.1:9",
            "x",
            "--retriever",
            "remote",
            "--option",
            "analysis=english",
        )


def test_milvus_is_filled_and_searched(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite", reason="no embedded Milvus for this platform")
    uri = str(tmp_path / "corpus.db")
    filled = run("milvus", str(file), uri, "--analysis", "english")
    assert f"{len(PASSAGES):,} passages" in filled
    shown = run("search", uri, PASSAGES[3].title, "--retriever", "milvus", "--k", "1")
    assert PASSAGES[3].title in shown


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no text"):
        run("index", str(tmp_path), str(tmp_path / "index"))
    assert not (tmp_path / "index").exists()
    with pytest.raises(DataError):
        run("index", str(tmp_path / "none.jsonl"), str(tmp_path / "index"))
