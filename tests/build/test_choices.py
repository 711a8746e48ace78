"""Every choice of graph, retriever, sampling and rarity reaches an episode."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from medenv.build.prepare import Prepared, open_environment, prepare
from medenv.build.settings import SynthesizeSettings
from medenv.integrations.hydra.config import register_schema, settings_of
from medenv.integrations.hydra.launching import CONF, expanded
from medenv.io import write_text
from medenv.kg import Graph, verify
from medenv.kg.graph.rarity import RARITIES
from medenv.kg.questions.rare_chains import SAMPLINGS
from medenv.kg.questions.sets import QuestionSet
from medenv.retrieval import BM25Retriever
from medenv.retrieval.bm25 import saved_analysis
from medenv.retrieval.dense import DenseRetriever, HybridRetriever
from medenv.text import analysis_of

from ..kg.random_graphs import random_graph

ROOT = Path(__file__).parents[2]
CHAINS = (
    *("questions=rare_chains", "questions.workers=1", "questions.rare_percent=100"),
    *("questions.test_share=0.4", "questions.n=4", "questions.n_test=2"),
    *("questions.chains.min_hops=2", "questions.chains.max_hops=3", "questions.chains.budget=2000"),
)


def prepared(root: Path, *choices: str) -> Prepared:
    """What `recipes/synthesize.py` of these choices prepares."""
    register_schema("synthesize", SynthesizeSettings)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("synthesize", overrides=expanded([f"root={root}", *choices]))
    return prepare(settings_of(config, SynthesizeSettings))


def play(made: Prepared) -> Graph:
    """Play a prepared environment: search, read what states the last hop, answer."""
    parts = open_environment(made.spec).parts
    env, graph = parts.env(), Graph.load(made.spec.graph or "")
    for question in made.asked("train")[:2]:
        assert verify(question, graph) == []
        assert question.certificate is not None
        env.reset(options={"question": question.id})
        dialect = env.rules.dialect
        shown, *_ = env.step(dialect.write_call("search", {"query": question.answers[0].name}))
        assert shown.startswith("[1] (")
        passage = question.certificate.path[-1].passages[0]
        read, *_ = env.step(dialect.write_call("read", {"passage_id": passage}))
        assert question.answers[0].name in read
        *_, info = env.step(dialect.write_answer(question.answers[0].name))
        assert info["ending"] == "answered"
        assert info["score"].parts["accuracy"].raw == 1.0
    return graph


@pytest.fixture(scope="module")
def chains_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph") / "saved"
    random_graph(1, diseases=90, findings=90, genes=45, dense=0.2).save(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("bm25", BM25Retriever),
        ("english", BM25Retriever),
        ("dense", DenseRetriever),
        ("hybrid", HybridRetriever),
    ],
)
def test_a_retriever_searches_in_episodes(name: str, made: type, tmp_path: Path) -> None:
    run = prepared(tmp_path, "graph=toy", "questions=toy", f"retriever={name}")
    opened = open_environment(run.spec).parts.retriever
    assert type(opened) is made
    if made is BM25Retriever:
        analysis = "english" if name == "english" else "plain"
        assert saved_analysis(Path(run.spec.corpus or "")) == analysis_of(analysis)
    play(run)


def toy(_: Path, __: Path) -> list[str]:
    return ["graph=toy", "questions=toy"]


def saved(_: Path, chains: Path) -> list[str]:
    return [f"graph={chains}", *CHAINS]


def merged(_: Path, chains: Path) -> list[str]:
    sources = f"{{toy: {{}}, saved: {{path: '{chains}'}}}}"
    return ["graph=merged", f"graph.options.sources={sources}", *CHAINS]


def tsv(folder: Path, chains: Path) -> list[str]:
    """A graph as somebody's own tables, whose relations are read anew."""
    graph = Graph.load(chains).to_networkx()
    nodes = [("id", "name", "kind")]
    nodes += [(node, data["name"], data["kind"]) for node, data in graph.nodes(data=True)]
    edges = [("head", "relation", "tail")]
    edges += [(head, relation, tail) for head, tail, relation in graph.edges(keys=True)]
    for name, table in (("nodes.tsv", nodes), ("edges.tsv", edges)):
        write_text(folder / name, "".join("\t".join(row) + "\n" for row in table))
    return ["graph=tsv", f"graph.path={folder}", "graph.options.source=mine", *CHAINS]


@pytest.mark.parametrize(
    ("choose", "source"),
    [(toy, "medenv toy"), (saved, "random"), (merged, "medenv toy 1 + random 1"), (tsv, "mine")],
)
def test_a_graph_is_asked_about(
    choose: Callable[[Path, Path], list[str]], source: str, chains_graph: Path, tmp_path: Path
) -> None:
    run = prepared(tmp_path / "runs", *choose(tmp_path, chains_graph))
    graph = play(run)
    assert graph.info.source == source
    assert run.questions.contents.source == graph.info.label


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("sampling", strategy) for strategy in SAMPLINGS),
        *(("rarity", measure) for measure in RARITIES if measure != "prevalence"),
    ],
)
def test_a_way_to_find_questions_makes_them(
    key: str, value: str, chains_graph: Path, tmp_path: Path
) -> None:
    run = prepared(tmp_path, f"graph={chains_graph}", *CHAINS, f"questions.{key}={value}")
    assert run.questions.contents.made_with[key] == value
    assert len(run.asked("train")) == 4
    play(run)


def test_the_recipe_takes_them_all_on_its_command_line(chains_graph: Path, tmp_path: Path) -> None:
    choices = ("retriever=hybrid", "questions.sampling=mixed", "questions.rarity=documents")
    command = [sys.executable, str(ROOT / "recipes" / "synthesize.py"), f"root={tmp_path}"]
    done = subprocess.run(
        [*command, f"graph={chains_graph}", *CHAINS, *choices],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = QuestionSet.open(tmp_path / "questions-saved-rare_chains-0")
    assert found.contents.questions == {"train": 4, "test": 2}
    again = prepared(tmp_path, f"graph={chains_graph}", *CHAINS, *choices)
    assert again.questions == found
    play(again)
