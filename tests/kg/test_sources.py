"""Sources behind one interface: tables, OBO, orphapackets, DrugMechDB; malformed lines; merging."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.kg import Documents, Graph, GraphBuilder, GraphInfo, toy_graph
from medenv.kg.certificates.certificate import prove
from medenv.kg.graph.merging import merge
from medenv.kg.graph.schema import HAS_GENE, HAS_PHENOTYPE
from medenv.kg.sources import KG_SOURCES, open_source
from medenv.kg.sources.tsv import relation_name
from medenv.retrieval.loaders import load_corpus

from .conftest import OBO

DATA = Path(os.environ.get("MEDENV_DATA", "none"))
"""A folder with real files, named by whoever has them."""


def table(folder: Path, name: str, *rows: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(row.replace("|", "\t") + "\n" for row in rows))
    return folder


NODES = ("id|name|kind|aliases", "c1|Aspirol|Compound|Aspi;Rol", "d1|Long fever|Disease|")
EDGES = ("source|metaedge|target|pmid", "c1|CtD - treats|d1|7", "c1|causes|d1|8")
OPTIONS: dict[str, Any] = {
    "columns": {"head": "source", "relation": "metaedge", "tail": "target"},
    "qualifiers": ["pmid"],
    "many": ";",
    "source": "Table",
    "version": "3",
}


def test_two_tables_are_a_graph(tmp_path: Path) -> None:
    folder = table(table(tmp_path / "t", "nodes.tsv", *NODES), "edges.tsv", *EDGES)
    graph = open_source("tsv", folder, OPTIONS)
    assert graph.info.label == "Table 3"
    assert graph.kinds == ("compound", "disease")
    drug, disease = graph.number("c1"), graph.number("d1")
    assert graph.entity(drug).aliases == ("Aspi", "Rol")
    assert graph.factual == ("causes", "ctd_treats", "inverse_causes", "inverse_ctd_treats")
    assert graph.qualifiers(drug, "ctd_treats", disease) == {"pmid": "7"}
    proof = prove(Documents(graph), ["walk", "d1", ["inverse_causes"]])
    assert proof.answers == ("c1",)
    assert proof.path[0].passages == ("c1#0", "d1#0")


def test_an_edge_table_alone_names_its_nodes(tmp_path: Path) -> None:
    lines = [
        "relation,x_id,x_name,x_type,y_id,y_name,y_type",
        'drug use,1,"Rol, mild",drug,2,Long fever,effect/phenotype',
    ]
    (tmp_path / "kg.csv").write_text("\n".join(lines))
    ends = ["head", "head_name", "head_kind", "tail", "tail_name", "tail_kind"]
    columns = dict(zip(ends, lines[0].split(",")[1:], strict=True))
    made = open_source(
        "tsv",
        tmp_path,
        {"nodes": "", "edges": "kg.csv", "separator": ",", "columns": columns},
    )
    assert made.nodes.names == ("Rol, mild", "Long fever")
    assert made.kinds == ("drug", "effect_phenotype")
    assert made.has_edge(0, "drug_use", 1)


@pytest.mark.parametrize(
    ("file", "row", "problem"),
    [
        ("nodes.tsv", "d2|Short fever", "expected 4 columns, got 2"),
        ("nodes.tsv", "c1|Again|Disease|", "duplicate node 'c1'"),
        ("nodes.tsv", "|Nobody|Disease|", "column 'id' is empty"),
        ("edges.tsv", "c1|treats|d9|", "unknown node 'd9', see nodes.tsv"),
        ("edges.tsv", "c1||d1|", "column 'metaedge' is empty"),
        ("edges.tsv", "c1|treats", "expected 4 columns, got 2"),
    ],
)
def test_a_malformed_row_is_named_with_its_line(
    tmp_path: Path, file: str, row: str, problem: str
) -> None:
    rows = {"nodes.tsv": NODES, "edges.tsv": EDGES}
    for name, lines in rows.items():
        table(tmp_path / "t", name, *lines, *([row] if name == file else []))
    with pytest.raises(DataError, match=problem) as caught:
        open_source("tsv", tmp_path / "t", OPTIONS)
    assert (caught.value.path.name, caught.value.line) == (file, 4)


def test_tables_are_read_as_spreadsheets_and_programs_write_them(tmp_path: Path) -> None:
    long = "word " * 40_000
    nodes = f'id,name,kind,text\r\nc1,"Rol, ""mild""",Drug,"one\r\ntwo"\r\nd1,Fever,Sign,{long}\r\n'
    (tmp_path / "n.csv").write_bytes(b"\xef\xbb\xbf" + nodes.encode())
    (tmp_path / "e.csv").write_text("head,relation,tail\nc1,treats,d1\n\n")
    graph = open_source("tsv", tmp_path, {"nodes": "n.csv", "edges": "e.csv"})
    assert graph.nodes.names == ('Rol, "mild"', "Fever")
    assert graph.nodes.texts == ("one\ntwo", long.strip())
    assert graph.has_edge(0, "treats", 1)


@pytest.mark.parametrize("separator", ["||", " ; ", "\t|\t"])
def test_a_separator_of_several_characters_is_read(tmp_path: Path, separator: str) -> None:
    for name, rows in (("nodes.tsv", NODES), ("edges.tsv", EDGES)):
        text = "\n".join(row.replace("|", separator) for row in rows)
        (tmp_path / name).write_text(text.replace("Aspi;Rol", "Aspi/Rol"))
    options = OPTIONS | {"separator": separator, "many": "/"}
    graph = open_source("tsv", tmp_path, options)
    assert graph.entity(graph.number("c1")).aliases == ("Aspi", "Rol")
    assert graph.qualifiers(graph.number("c1"), "ctd_treats", graph.number("d1")) == {"pmid": "7"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CtD - treats", "ctd_treats"),
        ("down-regulates", "down_regulates"),
        ("Part-of", "part_of"),
        ("effect/phenotype", "effect_phenotype"),
        ("regulates+", "regulates_plus"),
        ("regulates-", "regulates_minus"),
        ("regulates (-)", "regulates_minus"),
        ("regulates −", "regulates_minus"),
        ("-regulates", "minus_regulates"),
        ("a>b", "a_to_b"),
        ("a→b", "a_to_b"),
        ("a<b", "a_from_b"),
        ("↑ risk", "up_risk"),
        ("↓ risk", "down_risk"),
        ("≥", "at_least"),
        ("∆", "increment"),
        ("?", "relation"),
    ],
)
def test_signs_of_a_relation_are_words_and_marks_do_not_count(text: str, name: str) -> None:
    assert relation_name(text) == name


def test_relations_that_differ_in_a_sign_alone_stay_apart(tmp_path: Path) -> None:
    rows = ["head|relation|tail", "c1|regulates+|d1", "d1|regulates-|c1"]
    folder = table(table(tmp_path / "t", "nodes.tsv", *NODES), "edges.tsv", *rows)
    graph = open_source("tsv", folder, {"many": ";"})
    one, other = graph.number("c1"), graph.number("d1")
    assert graph.has_edge(one, "regulates_plus", other)
    assert not graph.has_edge(other, "regulates_plus", one)
    assert graph.has_edge(other, "regulates_minus", one)
    graph.save(tmp_path / "saved")
    assert Graph.load(tmp_path / "saved").relations == graph.relations


def test_a_missing_column_option_or_file_is_named(tmp_path: Path) -> None:
    folder = table(table(tmp_path / "t", "nodes.tsv", *NODES), "edges.tsv", *EDGES)
    with pytest.raises(DataError, match=r"expected the columns \['head', 'relation', 'tail'\]"):
        open_source("tsv", folder)
    with pytest.raises(UsageError, match=r"options of the source tsv: .*colums"):
        open_source("tsv", folder, {"colums": {}})
    with pytest.raises(DataError, match="no such file"):
        open_source("tsv", folder, OPTIONS | {"edges": "none.tsv"})
    with pytest.raises(UsageError, match="separator of several values"):
        open_source("tsv", folder, OPTIONS | {"many": ""})


def test_an_ontology_is_a_graph_of_terms(tmp_path: Path) -> None:
    (tmp_path / "hp.obo").write_text(OBO)
    graph = open_source("obo", tmp_path / "hp.obo", {"kind": "finding"})
    assert graph.info.label == "hp hp/releases/2031-04-05"
    assert graph.kinds == ("finding",)
    assert graph.has_edge(graph.number("HP:1"), "is_a", graph.number("HP:0000118"))
    assert graph.info.notes == {"obsolete terms": 1}


PACKET: dict[str, Any] = {
    "ORPHAcode": "5",
    "version": "1.3",
    "Label": "Long chain deficiency",
    "Synonyms": [{"Synonym": "LCD"}],
    "ExternalReferences": [
        {
            "ExternalReference": {
                "Source": "OMIM",
                "Reference": "9",
                "DisorderMappingRelation": "E (Exact mapping)",
            }
        }
    ],
    "TextSection": {"Contents": "A deficiency of long chains."},
    "Genes": [{"Gene": {"Symbol": "HADX", "Name": "hydroxy X"}}],
    "Parents": {"Parent": [{"ORPHAcode": "6", "Label": "Group"}]},
    "Phenotypes": [
        {
            "Phenotype": {
                "HPOId": "HP:1",
                "HPOTerm": "Photophobia",
                "HPOFrequency": "Frequent (79-30%)",
            }
        },
        {"Phenotype": {"HPOId": "HP:2", "HPOTerm": "Gait", "HPOFrequency": "Excluded (0%)"}},
    ],
    "Prevalences": {
        "Prevalence": [
            {
                "PrevalenceClass": "<1 / 1 000 000",
                "PrevalenceType": "Point prevalence",
                "PrevalenceGeographic": "Europe",
                "Source": "X",
            }
        ]
    },
    "AverageAgeOfOnsets": [{"AverageAgeOfOnset": {"value": "Infancy"}}],
    "TypeOfInheritances": {"TypeOfInheritance": [{"value": "Autosomal recessive"}]},
}


def packets(path: Path, *lines: object) -> Path:
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return path


def test_orphapackets_keep_prose_genes_findings_and_prevalence(tmp_path: Path) -> None:
    group = {"ORPHAcode": "6", "Label": "Group of deficiencies"}
    path = packets(tmp_path / "o.jsonl.gz", PACKET, {"Orphapacket": group})
    graph = open_source("orphapackets", path)
    node = graph.number("ORPHA:5")
    assert graph.nodes.xrefs[node] == ("OMIM:9",)
    assert graph.entity(node).aliases == ("LCD",)
    assert graph.qualifiers(node, "has_phenotype", graph.number("HP:1")) == {
        "frequency": "HP:0040282"
    }
    assert "HP:2" not in graph.nodes.ids, "an excluded finding"
    assert graph.has_edge(node, "is_a", graph.number("ORPHA:6"))
    shown = " ".join(p.text for p in Documents(graph).passages if p.entity == "ORPHA:5")
    for part in (
        "Associated gene: HADX",
        "Inheritance: Autosomal recessive inheritance",
        "Onset: Infancy onset",
        "Photophobia (frequent)",
        "Prevalence: <1 / 1 000 000",
        "Definition: A deficiency of long chains.",
    ):
        assert part in shown


NULLS: list[dict[str, Any]] = [
    {"Synonyms": None, "ExternalReferences": None, "TextSection": None, "Genes": None},
    {"Synonyms": [{"Synonym": None}], "TextSection": {"Contents": None}, "version": None},
    {"ExternalReferences": [{"ExternalReference": {"Source": None, "Reference": "9"}}]},
    {"Genes": [{"Gene": {"Symbol": "ABC", "Name": None, "ExternalReferences": None}}]},
    {"AverageAgeOfOnsets": {"AverageAgeOfOnset": [{"value": None}]}, "Parents": None},
    {
        "Prevalences": [
            {
                "Prevalence": {
                    "PrevalenceClass": ">1 / 1000",
                    "PrevalenceType": "Point prevalence",
                    "PrevalenceGeographic": None,
                    "Source": None,
                }
            }
        ]
    },
]


@pytest.mark.parametrize("nulls", NULLS)
def test_a_field_of_an_orphapacket_may_be_null(tmp_path: Path, nulls: dict[str, Any]) -> None:
    packet = {"ORPHAcode": 7, "Label": "Short chain deficiency", **nulls}
    graph = open_source("orphapackets", packets(tmp_path / "o.jsonl.gz", packet))
    graph.save(tmp_path / "saved")
    saved = Graph.load(tmp_path / "saved")
    assert saved.nodes == graph.nodes
    assert "None" not in str(graph.nodes)
    assert all(Documents(saved).passages)
    assert list(load_corpus("orphanet", tmp_path / "o.jsonl.gz")) == []


def test_packets_are_also_read_as_they_are_published_in_a_folder(tmp_path: Path) -> None:
    for packet in (PACKET, {"ORPHAcode": "6", "Label": "Group of deficiencies"}):
        path = tmp_path / "json" / f"ORPHApacket_{packet['ORPHAcode']}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"Orphapacket": packet}, indent=2))
    graph = open_source("orphapackets", tmp_path / "json")
    assert graph.has_edge(graph.number("ORPHA:5"), "is_a", graph.number("ORPHA:6"))
    path.write_text("{")
    with pytest.raises(DataError, match="expected an orphapacket") as caught:
        open_source("orphapackets", tmp_path / "json")
    assert caught.value.path == path


def test_mechanisms_are_a_graph(tmp_path: Path) -> None:
    mechanism = {
        "nodes": [
            {"id": "M:1", "label": "Drug", "name": "Rol"},
            {"id": "U:1", "label": "GeneFamily", "name": "Kinases"},
        ],
        "links": [{"key": "decreases activity of", "source": "M:1", "target": "U:1"}],
        "references": None,
    }
    again = json.loads(json.dumps(mechanism))
    again["nodes"][0]["name"] = "Rolum"
    graph = open_source("drugmechdb", packets(tmp_path / "m.gz", mechanism, again))
    assert graph.entity(0).aliases == ("Rolum",)
    assert graph.kinds == ("drug", "gene_family")
    assert graph.has_edge(0, "decreases_activity_of", 1)


@pytest.mark.parametrize(
    ("source", "line", "problem"),
    [
        ("orphapackets", {"Label": "x"}, "without 'ORPHAcode'"),
        ("orphapackets", [1], "expected an orphapacket: Expected `object`"),
        ("orphapackets", {"ORPHAcode": "7", "Label": None}, "without 'Label'"),
        ("orphapackets", {"ORPHAcode": "5", "Label": "Again"}, "duplicate node id"),
        (
            "orphapackets",
            {"ORPHAcode": "7", "Label": "x", "Phenotypes": [{"Phenotype": {"HPOTerm": "y"}}]},
            "without 'HPOId'",
        ),
        (
            "orphapackets",
            {
                "ORPHAcode": "7",
                "Label": "x",
                "Phenotypes": [
                    {"Phenotype": {"HPOId": "HP:1", "HPOTerm": "y", "HPOFrequency": "often"}}
                ],
            },
            "expected a frequency, got 'often'",
        ),
        ("drugmechdb", {"nodes": []}, "expected a mechanism"),
        (
            "drugmechdb",
            {"nodes": [], "links": [{"key": "k", "source": "a", "target": "b"}]},
            "unknown node 'a'",
        ),
    ],
)
def test_a_malformed_packet_is_named_with_its_line(
    tmp_path: Path, source: str, line: object, problem: str
) -> None:
    good: object = PACKET if source == "orphapackets" else {"nodes": [], "links": []}
    with pytest.raises(DataError, match=problem) as caught:
        open_source(source, packets(tmp_path / "x.gz", good, line))
    assert caught.value.line == 2


def test_an_unknown_source_or_argument_is_answered() -> None:
    assert {"hpo", "toy", "tsv", "obo", "orphapackets", "drugmechdb"} <= set(KG_SOURCES.names())
    with pytest.raises(UnknownNameError, match="did you mean 'drugmechdb'"):
        open_source("drugmech")
    with pytest.raises(UsageError, match=r"cannot be opened like this: .*nmespaces"):
        open_source("hpo", None, {"nmespaces": ["OMIM"]})


def small(prefix: str, xref: str = "") -> Graph:
    builder = GraphBuilder(GraphInfo(source=prefix, version="1", licence=f"{prefix} terms"))
    builder.relation(HAS_GENE)
    builder.relation(HAS_PHENOTYPE, ("frequency",))
    refs = [xref] if xref else []
    builder.node(f"{prefix}:1", kind="disease", name=f"{prefix} fever", xrefs=refs, text=prefix)
    builder.node(f"{prefix}G:1", kind="gene", name="ABC1")
    builder.node("HP:1", kind="phenotype", name="Cough")
    builder.edge(f"{prefix}:1", HAS_GENE.name, f"{prefix}G:1")
    builder.edge(f"{prefix}:1", HAS_PHENOTYPE.name, "HP:1", ("1/2",))
    return builder.build()


def test_what_names_each_other_becomes_one_under_all_names() -> None:
    graph = merge([small("ORPHA", "OMIM:1"), small("OMIM")], ("OMIM",), ("gene",))
    assert graph.replaced == {"OMIMG:1": "ORPHAG:1", "ORPHA:1": "OMIM:1"}
    node = graph.number("OMIM:1")
    assert graph.number("ORPHA:1") == node
    assert graph.entity(node).aliases == ("ORPHA fever",)
    assert graph.nodes.xrefs[node] == ("ORPHA:1",)
    assert graph.qualifiers(node, "has_phenotype", graph.number("HP:1")) == {"frequency": "1/2"}
    assert graph.edge_count == 2
    assert graph.info.label == "ORPHA 1 + OMIM 1"
    assert graph.info.licence == "ORPHA terms OMIM terms"
    assert tuple(graph.info.notes.values()) == (2, 2, 0, 0)


def test_without_cross_references_graphs_stay_beside_each_other() -> None:
    graph = merge([small("A"), small("B")])
    assert graph.replaced == {}
    assert graph.edge_count == 4
    assert len(graph) == 5
    assert set(graph.info.notes.values()) == {0}
    assert merge([toy_graph()]).nodes == toy_graph().nodes
    with pytest.raises(UsageError, match="at least one graph"):
        merge([])


def test_an_edge_within_one_merged_entity_is_dropped_and_counted() -> None:
    builder = GraphBuilder(GraphInfo(source="I", version="1", notes={"obsolete": 4}))
    builder.relation(HAS_PHENOTYPE, ("frequency", "onset"))
    for number in (1, 2):
        builder.node(f"I:{number}", kind="disease", name=f"fever {number}", xrefs=["A:1"])
    builder.edge("I:1", HAS_PHENOTYPE.name, "I:2", ("", ""))
    graph = merge([small("A"), builder.build()])
    assert graph.replaced == {"I:1": "A:1", "I:2": "A:1"}
    assert list(graph.info.notes.values()) == [4, 2, 0, 1, 1]
    assert "I: obsolete" in graph.info.notes


def test_sources_are_merged_by_name(tmp_path: Path) -> None:
    small("ORPHA", "OMIM:1").save(tmp_path / "orpha")
    small("OMIM").save(tmp_path / "omim")
    options = {
        "sources": {
            "saved": {"path": str(tmp_path / "orpha")},
            "omim": {"source": "saved", "path": str(tmp_path / "omim")},
        },
        "namespaces": ["OMIM"],
    }
    merged = open_source("merged", None, options)
    assert merged.info.label == "ORPHA 1 + OMIM 1"
    assert merged.number("ORPHA:1") == merged.number("OMIM:1")
    with_toy = open_source("merged", None, {"sources": {"toy": None, **options["sources"]}})
    assert len(with_toy) == len(toy_graph()) + len(merged)


@pytest.mark.parametrize(
    ("sources", "error"),
    [
        ({}, UsageError),
        (["toy", "hpo"], UsageError),
        ({"toy": {}}, UsageError),
        ({"toy": {}, "hop": {}}, UnknownNameError),
        ({"toy": {}, "hpo": {"paht": "x"}}, UsageError),
        ({"toy": {}, "saved": {"path": "/nowhere"}}, DataError),
        ({"toy": {}, "saved": {"path": 3}}, UsageError),
        ({"toy": {}, "saved": "x"}, UsageError),
    ],
    ids=str,
)
def test_sources_that_cannot_be_merged_are_refused(sources: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        open_source("merged", None, {"sources": sources})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "name", "options", "nodes"),
    [
        ("orphapackets", "orphapackets.jsonl.gz", {}, 20_000),
        ("drugmechdb", "drugmechdb_paths.jsonl.gz", {}, 4_000),
        ("obo", "DO_rare_slim.obo.gz", {"kind": "disease"}, 3_000),
        (
            "tsv",
            "hetionet",
            {
                "edges": "edges-5k.sif",
                "columns": {"head": "source", "relation": "metaedge", "tail": "target"},
            },
            47_031,
        ),
    ],
)
def test_real_files_are_read(
    tmp_path: Path, source: str, name: str, options: dict[str, Any], nodes: int
) -> None:
    if not (DATA / name).exists():
        pytest.skip(f"MEDENV_DATA names no folder with {name}")
    graph = open_source(source, DATA / name, options)
    assert len(graph) >= nodes
    assert graph.edge_count > 1_000
    graph.save(tmp_path / "saved")
    assert Graph.load(tmp_path / "saved").nodes == graph.nodes


def test_every_source_can_be_loaded() -> None:
    for name in KG_SOURCES.names():
        assert callable(KG_SOURCES.load(name))
    assert KG_SOURCES.load("toy")().info.label == toy_graph().info.label
