"""A graph grown from a corpus through a real server: complete, resumable, whatever fails."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from medenv.errors import DataError, ModelUnavailableError, UsageError
from medenv.kg import Documents, Graph, toy_graph
from medenv.kg.certificates.certificate import prove
from medenv.kg.extraction.pipeline import ExtractionConfig, extract_graph
from medenv.kg.sources import open_source
from medenv.llm.batch import BatchLimits
from medenv.llm.endpoint import Endpoint, EndpointSettings
from medenv.records import Passage
from medenv.retrieval import BM25Retriever

from ..chat_server import ChatServer, asked_by
from .recorded import CORPUS, REPLIES, reply

EVERYTHING = ExtractionConfig(seeds=("Marrow Bay syndrome",), discovery=0.2)


def recorded(body):
    """The recorded reply to the passage that is asked about."""
    asked = json.loads(asked_by(body))
    (passage,) = [one for one in CORPUS if one.text == asked["text"]]
    return REPLIES[passage.id]


def endpoint(server, attempts=8):
    settings = EndpointSettings(url=server.url, model="reader-1", attempts=attempts, backoff=0.001)
    return Endpoint(settings)


def grow(server, folder, config=EVERYTHING, passages=CORPUS, **patience):
    corpus = BM25Retriever(passages)
    return extract_graph(folder, endpoint(server), corpus, config, BatchLimits(**patience))


def told(graph):
    """The edges of a graph by names."""
    names = graph.nodes.names
    return {
        (names[head], relation, names[int(tail)])
        for relation in graph.relations
        for head in range(len(graph))
        for tail in graph.step(head, relation)
    }


EXPECTED = {
    ("Marrow Bay syndrome", "has_gene", "QUAB1"),
    ("Marrow Bay syndrome", "has_phenotype", "backward-leaning gait"),
    ("Marrow Bay syndrome", "has_phenotype", "Seasonal hoarseness"),
    ("Tolman-Reyes disease", "has_phenotype", "Seasonal hoarseness"),
    ("Tolman-Reyes disease", "treated_with", "Veltorin"),
    ("Veltorin", "targets", "FENA1"),
}


def test_the_graph_holds_what_the_replies_say_and_the_passages_bear_out(tmp_path):
    with ChatServer(recorded) as server:
        grown = grow(server, tmp_path)
    graph = grown.graph
    assert told(graph) == EXPECTED
    assert grown.read == len(CORPUS)
    disease = graph.number("disease:marrow_bay_syndrome")
    assert graph.entity(disease).aliases == ("MBS",)
    gene = graph.number("gene:quab1")
    known = graph.qualifiers(disease, "has_gene", gene)
    assert known["passage"] == "letter:1|letter:7"
    assert known["sentence"].startswith("Marrow Bay syndrome (MBS) is caused by variants in QUAB1.")
    for relation in graph.relations:
        for head in range(len(graph)):
            for tail in graph.step(head, relation):
                evidence = graph.qualifiers(head, relation, int(tail))["passage"].split("|")
                assert set(evidence) <= {passage.id for passage in CORPUS}


def test_the_graph_says_who_extracted_it_when_and_what_was_left_out(tmp_path):
    with ChatServer(recorded) as server:
        grown = grow(server, tmp_path)
    info = grown.graph.info
    begun = json.loads((tmp_path / "replies.jsonl").read_text().splitlines()[0])
    assert info.source == "own graph, extracted by reader-1"
    assert info.version == begun["date"]
    assert "checked by nobody" in info.licence
    assert "letters 2031" in info.licence
    assert info.notes == {"passages read": 7, **grown.problems}
    assert grown.problems["reply: no JSON"] == 1
    assert grown.problems["reply: asked for again"] == 1
    assert grown.problems["entity: not in the passage"] == 1


def test_it_is_a_source_like_any_other(tmp_path):
    with ChatServer(recorded) as server:
        grown = grow(server, tmp_path)
    opened = open_source("extracted", tmp_path)
    assert told(opened) == told(grown.graph)
    documents = Documents(opened)
    start = "phenotype:backward_leaning_gait"
    proof = prove(documents, ["walk", start, ["phenotype_of", "has_gene"]])
    assert proof.answers == ("gene:quab1",)
    assert all(hop.passages for hop in proof.path)


@pytest.mark.parametrize("concurrency", [1, 5])
def test_the_graph_does_not_depend_on_who_answers_first(tmp_path, concurrency):
    with ChatServer(recorded) as server:
        one = grow(server, tmp_path / "one", concurrency=1)
        other = grow(server, tmp_path / "other", concurrency=concurrency)
    files = ["graph.json", "has_gene.tails.npy"]
    for name in files:
        written = [(tmp_path / f / "graph" / name).read_bytes() for f in ("one", "other")]
        assert written[0] == written[1]
    assert (one.rounds, one.problems) == (other.rounds, other.problems)


def test_growth_follows_neighbours_and_discovers_what_nothing_leads_to(tmp_path):
    nearby = ExtractionConfig(seeds=("QUAB1",), discovery=0, per_entity=1, max_nodes=2)
    with ChatServer(recorded) as server:
        grown = grow(server, tmp_path / "near", nearby)
        assert len(grown.graph) >= 2
        assert len(server.asked) <= 2
        found = grow(server, tmp_path / "all", ExtractionConfig(discovery=1))
    assert told(found.graph) == EXPECTED


def test_the_limits_are_kept(tmp_path):
    with ChatServer(recorded) as server:
        small = grow(server, tmp_path, ExtractionConfig(max_passages=3, discovery=0.5))
        assert (small.read, len(server.asked) <= 4) == (3, True)
        again = grow(server, tmp_path, ExtractionConfig(max_passages=50, discovery=0.5))
        texts = [json.loads(asked_by(body))["text"] for body in server.asked]
    assert again.read == len(CORPUS)
    assert told(again.graph) == EXPECTED
    unread = texts.count(CORPUS[4].text)
    assert (len(texts), unread) == (len(CORPUS) + 1, 2)  # prose is asked for once more


def large():
    """Sixty passages about the toy graph, one for each of its facts, and the model's replies."""
    graph = toy_graph()
    names = graph.nodes.names
    passages, replies = [], {}
    for relation in ("has_gene", "has_phenotype"):
        for head in range(len(graph)):
            for tail in graph.step(head, relation).tolist():
                text = f"{names[head]} is known for {names[tail]}."
                one = Passage(id=f"p:{len(passages):03}", title="Note", text=text)
                kinds = {names[n]: graph.kind(n) for n in (head, tail)}
                replies[text] = reply(kinds, (names[head], relation, names[tail], text))
                passages.append(one)
    return passages, replies, {e for e in told(graph) if e[1] in ("has_gene", "has_phenotype")}


def test_a_server_that_fails_three_times_in_ten_costs_tries_and_no_edge(tmp_path):
    passages, replies, edges = large()
    dice, lock = random.Random(1), threading.Lock()

    def flaky(body):
        with lock:
            thrown = dice.random()
        if thrown < 0.3:
            return [(503, b""), (429, b""), (200, b"<html>"), None][int(thrown * 13.3)]
        return replies[json.loads(asked_by(body))["text"]]

    with ChatServer(flaky) as server:
        grown = grow(server, tmp_path, ExtractionConfig(discovery=0.3), passages)
        assert len(server.asked) > len(passages)
    assert told(grown.graph) == edges
    assert grown.problems == {}


PROGRAM = """
import sys
from medenv.retrieval import BM25Retriever
from medenv.llm.endpoint import Endpoint, EndpointSettings
from medenv.llm.batch import BatchLimits
from medenv.kg.extraction.pipeline import ExtractionConfig, extract_graph
corpus = BM25Retriever.load(sys.argv[2])
endpoint = Endpoint(EndpointSettings(url=sys.argv[1], model="reader-1"))
limits = BatchLimits(concurrency=2)
extract_graph(sys.argv[3], endpoint, corpus, ExtractionConfig(discovery=0.3), limits)
"""


def test_a_run_that_is_killed_goes_on_and_asks_nothing_twice(tmp_path):
    passages, replies, edges = large()

    def slow(body):
        time.sleep(0.03)
        return replies[json.loads(asked_by(body))["text"]]

    BM25Retriever(passages).save(tmp_path / "corpus")
    journal = tmp_path / "run" / "replies.jsonl"
    with ChatServer(slow) as server:
        arguments = [server.url, str(tmp_path / "corpus"), str(tmp_path / "run")]
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments])
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") > 10:
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kept = journal.read_bytes().count(b"\n") - 1
        assert 10 <= kept < len(passages)
        before = len(server.asked)
        grown = grow(server, tmp_path / "run", ExtractionConfig(discovery=0.3), passages)
        assert len(server.asked) - before == len(passages) - kept
        whole = grow(server, tmp_path / "whole", ExtractionConfig(discovery=0.3), passages)
    assert told(grown.graph) == told(whole.graph) == edges
    assert grown.rounds == whole.rounds


def test_a_server_that_is_gone_stops_the_run_which_goes_on_later(tmp_path):
    with ChatServer(
        lambda body: (500, b"") if "Veltorin" in asked_by(body) else recorded(body)
    ) as server:
        corpus = BM25Retriever(CORPUS)
        with pytest.raises(ModelUnavailableError, match="the same call goes on"):
            extract_graph(tmp_path, endpoint(server, attempts=2), corpus, EVERYTHING)
        assert not (tmp_path / "graph").exists()
        server.answer = recorded
        assert told(grow(server, tmp_path).graph) == EXPECTED


def test_what_cannot_grow_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"discoveries in \[0, 1\], got 2"):
        ExtractionConfig(discovery=2)
    with pytest.raises(UsageError, match="of at least 1, got 200, 0, 5 and 8"):
        ExtractionConfig(max_passages=0)
    with pytest.raises(DataError, match="expected a saved graph: cannot be read"):
        open_source("extracted", tmp_path)
    assert isinstance(toy_graph(), Graph)
