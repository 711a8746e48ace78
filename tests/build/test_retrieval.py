"""From passages to a retriever, whichever it is: built once, opened by name in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from medenv.build.environment import make_env
from medenv.build.retrieval import open_retriever, prepare_corpus
from medenv.build.settings import CorpusSettings, RetrieverSettings
from medenv.cli.main import app
from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.io import write_records
from medenv.kg import Documents, toy_graph
from medenv.plugins import retriever
from medenv.retrieval import BM25Retriever, PassageStore
from medenv.retrieval.dense import DenseRetriever, HybridRetriever
from medenv.retrieval.encoders import HashedEncoder, open_encoder

PASSAGES = Documents(toy_graph()).passages
AUTO = CorpusSettings()
DOCUMENTS = CorpusSettings(source="documents")


class Lengths:
    """An encoder of another package."""

    identity = "lengths"

    def __call__(self, texts: Sequence[str]) -> Any:
        return np.array([[len(text), len(text.split())] for text in texts], np.float32)


def words_and_letters(texts: Sequence[str]) -> Any:
    return Lengths()(texts)


HERE = f"{__name__}:words_and_letters"


def settings(name: str, **options: Any) -> RetrieverSettings:
    return RetrieverSettings(name=name, options=options)


def files(path: Path | str) -> CorpusSettings:
    return CorpusSettings(source="files", path=str(path))


@pytest.mark.parametrize(
    ("how", "made"),
    [
        (settings("bm25"), BM25Retriever),
        (settings("bm25", analysis="english"), BM25Retriever),
        (settings("dense"), DenseRetriever),
        (settings("dense", encoder_options={"dimensions": 64}), DenseRetriever),
        (settings("hybrid", analysis="english", depth=9), HybridRetriever),
    ],
    ids=str,
)
def test_documents_are_indexed_once_and_found(
    how: RetrieverSettings, made: type, tmp_path: Path
) -> None:
    said: list[str] = []
    first = prepare_corpus(DOCUMENTS, how, toy_graph(), None, tmp_path, said.append)
    again = prepare_corpus(DOCUMENTS, how, toy_graph(), None, tmp_path, said.append)
    assert first == again
    assert len(said) == 1
    assert first is not None
    assert Path(first).parent == tmp_path / "corpora"
    opened = open_retriever(how, first)
    assert isinstance(opened, made)
    asked = [f"{one.title} {one.text}" for one in PASSAGES]
    best = [hits[0][0].id for hits in opened.search(asked, 1)]
    assert sum(one.id == hit for one, hit in zip(PASSAGES, best, strict=True)) > 0.9 * len(best)
    assert opened.get(PASSAGES[0].id) == PASSAGES[0]
    fresh = make_env(corpus=first, retriever={how.name: how.options}, tools=("search",))
    assert fresh.reset(seed=0)


def test_options_that_change_the_index_have_a_folder_each(tmp_path: Path) -> None:
    hows = [
        settings("bm25"),
        settings("bm25", analysis="english"),
        settings("dense"),
        settings("dense", encoder_options={"dimensions": 64}),
        settings("hybrid"),
    ]
    made = [prepare_corpus(DOCUMENTS, how, toy_graph(), None, tmp_path) for how in hows]
    assert len(set(made)) == len(hows)
    deeper = prepare_corpus(DOCUMENTS, settings("hybrid", depth=7), toy_graph(), None, tmp_path)
    assert deeper == made[-1]


def test_the_index_of_the_questions_is_used_where_it_fits(tmp_path: Path) -> None:
    index = tmp_path / "index"
    BM25Retriever(PASSAGES).save(index)
    for how in (settings("bm25"), settings("bm25", analysis="plain")):
        assert prepare_corpus(AUTO, how, None, index, tmp_path) == str(index)
    for how in (settings("bm25", analysis="english"), settings("dense"), settings("hybrid")):
        made = prepare_corpus(AUTO, how, None, index, tmp_path)
        assert made is not None
        assert made != str(index)
        assert open_retriever(how, made).get(PASSAGES[3].id) == PASSAGES[3]


def test_passages_of_ones_own_are_indexed_or_opened(tmp_path: Path) -> None:
    write_records(tmp_path / "mine.jsonl", PASSAGES[:5])
    made = prepare_corpus(files(tmp_path / "mine.jsonl"), settings("dense"), None, None, tmp_path)
    assert made is not None
    assert len(open_retriever(settings("dense"), made).search(["x"], 50)[0]) == 5
    taken = prepare_corpus(files(made), settings("dense"), None, None, tmp_path)
    assert taken == made
    terms = settings("hybrid")
    both = prepare_corpus(files(made), terms, None, None, tmp_path)
    assert both not in (made, None)
    assert len(open_retriever(terms, str(both)).search(["x"], 50)[0]) == 5
    write_records(tmp_path / "mine.jsonl", PASSAGES[:6])
    other = prepare_corpus(files(tmp_path / "mine.jsonl"), settings("dense"), None, None, tmp_path)
    assert other != made
    assert (
        prepare_corpus(CorpusSettings(source="none"), settings("bm25"), None, None, tmp_path)
        is None
    )


def test_addresses_and_other_retrievers_get_their_path(tmp_path: Path) -> None:
    url = files("http://127.0.0.1:9")
    with pytest.raises(UsageError, match=r"needs the address of its server"):
        prepare_corpus(AUTO, settings("remote"), toy_graph(), None, tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        prepare_corpus(url, settings("bm25"), None, None, tmp_path)

    @retriever
    def first_passage(path: str) -> BM25Retriever:
        return BM25Retriever(list(PassageStore.load(path))[:1])

    made = prepare_corpus(DOCUMENTS, settings("first_passage"), toy_graph(), None, tmp_path)
    assert made is not None
    opened = open_retriever(settings("first_passage"), made)
    assert [one.id for one, _ in opened.search([PASSAGES[0].text], 9)[0]] == [PASSAGES[0].id]
    assert prepare_corpus(files(made), settings("first_passage"), None, None, tmp_path) == made


@pytest.mark.parametrize(
    ("corpus", "how", "error", "problem"),
    [
        (DOCUMENTS, settings("dens"), UnknownNameError, "did you mean 'dense'"),
        (DOCUMENTS, settings("dense", encoder="hashd"), UnknownNameError, "'hashed'"),
        (DOCUMENTS, settings("dense", encoder="no_such:thing"), UsageError, "no_such"),
        (DOCUMENTS, settings("dense", encoder="/nowhere/at/all"), UsageError, "/nowhere/at/all"),
        (DOCUMENTS, settings("dense", depth=3), UsageError, "cannot take"),
        (DOCUMENTS, settings("dense", encoder_options={"size": 3}), UsageError, "size"),
        (DOCUMENTS, settings("dense", encoder_options={"dimensions": 0}), UsageError, "got 0"),
        (DOCUMENTS, settings("hybrid", depth=0), UsageError, "depth"),
        (DOCUMENTS, settings("hybrid", analysis="englsh"), UnknownNameError, "'english'"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_one_line_and_leaves_no_folder(
    corpus: CorpusSettings, how: RetrieverSettings, error: Any, problem: str, tmp_path: Path
) -> None:
    def opened() -> object:
        return open_retriever(how, str(prepare_corpus(corpus, how, toy_graph(), None, tmp_path)))

    with pytest.raises(error, match=problem) as caught:
        opened()
    assert "\n" not in str(caught.value)
    assert how.name == "hybrid" or not list(tmp_path.glob("corpora/*"))


def test_a_corpus_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'documents'"):
        CorpusSettings(source="document")
    for wrong in ({"source": "files"}, {"source": "documents", "path": "x"}):
        with pytest.raises(UsageError, match="expected corpus=PATH"):
            CorpusSettings(**wrong)
    with pytest.raises(UsageError, match="needs a graph"):
        prepare_corpus(AUTO, settings("bm25"), None, None, tmp_path)


def test_another_encoder_than_the_index_was_made_with_is_refused(tmp_path: Path) -> None:
    made = prepare_corpus(DOCUMENTS, settings("dense"), toy_graph(), None, tmp_path)
    other = settings("dense", encoder=HERE)
    with pytest.raises(UsageError, match="was made with encoder 'hashed"):
        open_retriever(other, str(made))
    with pytest.raises(UsageError, match="was made with encoder 'hashed"):
        prepare_corpus(files(str(made)), other, None, None, tmp_path)
    mine = prepare_corpus(DOCUMENTS, other, toy_graph(), None, tmp_path)
    assert len(open_retriever(other, str(mine)).search(["a b c"], 3)[0]) == 3
    assert open_encoder(f"{__name__}:Lengths")(["ab"]).tolist() == [[2, 1]]


def test_vectors_that_were_damaged_or_are_of_other_passages_are_refused(tmp_path: Path) -> None:
    DenseRetriever(PASSAGES, HashedEncoder()).save(tmp_path / "index")
    with pytest.raises(DataError):
        BM25Retriever.load(tmp_path / "index")
    vectors = tmp_path / "index" / "vectors.npy"
    whole = vectors.read_bytes()
    vectors.write_bytes(whole[:-9])
    with pytest.raises(DataError):
        DenseRetriever.load(tmp_path / "index", HashedEncoder())
    np.save(vectors, np.zeros((3, 512), np.float32))
    with pytest.raises(DataError, match="other passages"):
        DenseRetriever.load(tmp_path / "index", HashedEncoder())
    with pytest.raises(DataError):
        DenseRetriever.load(tmp_path, HashedEncoder())


def test_a_dense_ranking_is_the_same_in_another_process_and_batch(tmp_path: Path) -> None:
    how = settings("hybrid")
    made = prepare_corpus(DOCUMENTS, how, toy_graph(), None, tmp_path)
    code = (
        "import sys; from medenv.build.retrieval import open_retriever as o\n"
        "from medenv.build.settings import RetrieverSettings as R\n"
        "hits = o(R(name=sys.argv[2]), sys.argv[1]).search(sys.argv[3:], 9)\n"
        "print([[(p.id, s) for p, s in row] for row in hits])"
    )
    queries = [one.title for one in PASSAGES[:7]]
    for name in ("hybrid", "dense", "bm25"):
        printed = subprocess.run(
            [sys.executable, "-c", code, str(made), name, *queries],
            capture_output=True, text=True, check=True, env=os.environ,
        ).stdout  # fmt: skip
        opened = open_retriever(settings(name), str(made))
        alone = [opened.search([query], 9)[0] for query in queries]
        assert printed.strip() == str([[(p.id, s) for p, s in row] for row in alone])


def test_equal_passages_are_ranked_by_id() -> None:
    same = [one for one in PASSAGES if one.title == PASSAGES[0].title][:1]
    twins = [type(same[0])(id=f"t{i}", title="A", text="b", source="") for i in (3, 1, 2)]
    found = DenseRetriever(twins, HashedEncoder()).search(["A b"], 3)[0]
    assert [one.id for one, _ in found] == ["t1", "t2", "t3"]


def test_the_documents_of_the_graph_are_searched_by_the_retriever_that_is_named() -> None:
    for name in ("dense", "hybrid"):
        env = make_env(retriever=name, tools=("search",))
        env.reset(seed=0)
        call = env.rules.dialect.write_call("search", {"query": PASSAGES[0].title})
        assert env.step(call)[4]["passages"]
    with pytest.raises(UsageError, match="set corpus"):
        make_env(retriever="remote")


def test_commands_index_and_search_with_every_retriever(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["corpus", *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output

    source = tmp_path / "p.jsonl"
    write_records(source, PASSAGES)
    option = ("--option", 'encoder_options={"dimensions": 128}')
    for name in ("dense", "hybrid"):
        out = str(tmp_path / name)
        assert f"{len(PASSAGES):,} passages" in run(
            "index", str(source), out, "--retriever", name, *option
        )
        shown = run("search", out, PASSAGES[3].title, "--retriever", name, *option, "--k", "3")
        assert PASSAGES[3].title in shown
    with pytest.raises(UnknownNameError):
        run("index", str(source), str(tmp_path / "x"), "--retriever", "remote")
    with pytest.raises(UsageError, match="NAME=VALUE"):
        run("index", str(source), str(tmp_path / "x"), "--option", "analysis")
    with pytest.raises(UsageError, match="cannot take"):
        run("index", str(source), str(tmp_path / "x"), "--option", "stems=1")
