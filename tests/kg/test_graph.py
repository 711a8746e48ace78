import time

import numpy as np
import pytest

from medenv.errors import UnknownNameError, UsageError
from medenv.kg import Graph, GraphBuilder, GraphInfo, Relation


def names(graph: Graph, nodes: np.ndarray) -> set[str]:
    return {graph.nodes.names[node] for node in nodes}


def test_nodes_are_numbered_in_the_order_of_their_ids(graph: Graph) -> None:
    assert list(graph.nodes.ids) == sorted(graph.nodes.ids)
    assert all(graph.number(entity_id) == n for n, entity_id in enumerate(graph.nodes.ids))


def test_a_step_leads_along_a_relation_and_back(graph: Graph) -> None:
    disease = graph.number("TOY:D5")
    assert names(graph, graph.step(disease, "has_gene")) == {"ZORI4", "MIBB1"}
    gene = graph.number("TOYGENE:ZORI4")
    assert names(graph, graph.step(gene, "gene_of")) == {
        "Glass tendon disease",
        "Night lake syndrome",
    }


def test_every_edge_is_stored_in_both_directions(graph: Graph) -> None:
    for relation, inverse in graph.inverses.items():
        forward = {
            (head, int(tail)) for head in range(len(graph)) for tail in graph.step(head, relation)
        }
        backward = {
            (int(tail), head) for head in range(len(graph)) for tail in graph.step(head, inverse)
        }
        assert forward == backward


def test_the_degree_counts_what_the_steps_lead_to(graph: Graph) -> None:
    for node in range(len(graph)):
        rows = {relation: graph.step(node, relation).size for relation in graph.rows}
        assert graph.degrees()[node] == sum(rows.values())
        assert {name: graph.degrees(name)[node] for name in rows} == rows


def test_an_edge_keeps_its_qualifiers_in_both_directions(graph: Graph) -> None:
    disease, finding = graph.number("TOY:D1"), graph.number("TOY:P02")
    expected = {"frequency": "7/10", "evidence": "TAS", "reference": "TOY:D1"}
    assert graph.qualifiers(disease, "has_phenotype", finding) == expected
    assert graph.qualifiers(finding, "phenotype_of", disease) == expected


def test_qualifiers_of_an_edge_that_does_not_exist_are_refused(graph: Graph) -> None:
    with pytest.raises(UsageError, match="no edge TOY:D1 has_phenotype TOY:P04"):
        graph.qualifiers(graph.number("TOY:D1"), "has_phenotype", graph.number("TOY:P04"))


def test_an_entity_is_found_by_name_and_alias_in_any_case(graph: Graph) -> None:
    assert graph.find("fatigue") == graph.find("Persistent Tiredness") == (graph.number("TOY:P08"),)
    assert graph.find("no such thing") == ()


def test_an_entity_is_found_in_any_spelling_of_its_names() -> None:
    builder = GraphBuilder(GraphInfo(source="t", version="1"))
    builder.node("D:1", kind="disease", name="Behçet  disease", aliases=("Meniere",))
    builder.node("D:2", kind="disease", name="Behc\u0327et disease")
    graph = builder.build()
    for name in ("Behcet disease", "BEHÇET DISEASE", "behc\u0327et\ndisease"):
        assert graph.find(name) == (0, 1)
    assert graph.find("Ménière") == (0,)


def test_a_name_that_many_entities_bear_is_indexed_in_time() -> None:
    builder = GraphBuilder(GraphInfo(source="t", version="1"))
    for number in range(30_000):
        builder.node(f"D:{number:05}", kind="disease", name="One name")
    graph = builder.build()
    began = time.perf_counter()
    assert graph.find("one name") == tuple(range(30_000))
    assert time.perf_counter() - began < 2


def test_an_unknown_id_is_answered_with_its_neighbours(graph: Graph) -> None:
    with pytest.raises(UsageError, match=r"no entity 'TOY:D10'; next to it: TOY:D1, TOY:D2"):
        graph.number("TOY:D10")


def test_an_unknown_relation_is_answered_with_the_nearest(graph: Graph) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'has_gene'"):
        graph.step(0, "has_genes")


def test_an_unknown_kind_is_answered_with_the_known_ones(graph: Graph) -> None:
    with pytest.raises(UnknownNameError, match="unknown node kind 'drug'"):
        graph.of_kind("drug")


def test_networkx_gets_the_same_nodes_and_edges(graph: Graph) -> None:
    whole = graph.to_networkx()
    assert whole.number_of_nodes() == len(graph)
    assert whole.number_of_edges() == graph.edge_count
    part = graph.to_networkx([graph.number("TOY:D1"), graph.number("TOYGENE:QUAB1")])
    assert list(part.edges(keys=True)) == [("TOY:D1", "TOYGENE:QUAB1", "has_gene")]
    assert part.nodes["TOYGENE:QUAB1"] == {"kind": "gene", "name": "QUAB1"}


def builder() -> GraphBuilder:
    told = GraphBuilder(GraphInfo(source="test", version="0"))
    told.relation(Relation(name="to", inverse="from"), ("note",))
    for entity_id in ("b", "a", "c"):
        told.node(entity_id, kind="thing", name=entity_id.upper(), aliases=(entity_id.upper(), "x"))
    return told


def test_an_edge_told_twice_is_one_edge_with_both_values() -> None:
    told = builder()
    for head, tail, note in (("b", "a", "2nd"), ("c", "a", ""), ("b", "a", "1st"), ("b", "a", "")):
        told.edge(head, "to", tail, (note,))
    graph = told.build()
    assert graph.edge_count == 2
    assert graph.qualifiers(1, "to", 0) == {"note": "2nd|1st"}
    assert graph.qualifiers(2, "to", 0) == {}


def test_an_alias_that_equals_the_name_is_dropped() -> None:
    assert builder().build().entity(0).aliases == ("x",)


def test_a_node_told_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="duplicate node id 'a'"):
        builder().node("a", kind="thing", name="A")


def test_an_edge_to_an_untold_node_or_of_an_untold_relation_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown node 'z'"):
        builder().edge("a", "to", "z", ("",))
    with pytest.raises(UsageError, match="unknown relation 'near'"):
        builder().edge("a", "near", "b")
