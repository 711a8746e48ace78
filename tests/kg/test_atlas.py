"""The atlas and its sources: one node for one entity, names that mean one, and what was dropped."""

from __future__ import annotations

import itertools
import json
import os
import pickle
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medenv import data
from medenv.cli.main import app
from medenv.errors import DataError, UsageError
from medenv.kg import Graph
from medenv.kg.documents.display import with_shown_names
from medenv.kg.graph import GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import IN_CLASS
from medenv.kg.graph.specialties import CLASSES, SPECIALTIES, Specialties
from medenv.kg.sources import open_source

from .atlas_files import FILES, MONDO, add_all, term, write

REAL = os.environ.get("MEDENV_ATLAS", "")


@pytest.fixture
def atlas(hpo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    monkeypatch.setenv("MEDENV_HOME", str(tmp_path / "home"))
    add_all(tmp_path / "raw")
    return open_source("atlas", hpo_folder)


def tails(graph: Graph, head: str, relation: str) -> list[str]:
    return [graph.nodes.ids[n] for n in graph.step(graph.number(head), relation).tolist()]


def test_one_disease_is_one_node(atlas: Graph) -> None:
    assert "ORPHA:1" not in atlas.nodes.ids
    assert atlas.number("ORPHA:1") == atlas.number("OMIM:1") == atlas.number("MONDO:0000010")
    assert atlas.entity(atlas.number("OMIM:1")).name == "Nail disease"
    assert atlas.info.notes["Mondo: diseases of several vocabularies that are one"] == 1
    assert tails(atlas, "OMIM:1", "in_class") == ["MONDO:0000002"]
    assert tails(atlas, "OMIM:2", "in_class") == ["MONDO:0000002", "MONDO:0000003"]


def test_names_without_scope_are_accepted_and_not_shown(atlas: Graph) -> None:
    node = atlas.number("OMIM:1")
    shown = {"Nail disorder", "Disease of the nails", "DNAILS", "nail illness"}
    assert shown <= {*atlas.nodes.aliases[node]}
    accepted = {*atlas.nodes.accepted[node]}
    assert {"hangnail plague", "Onychosis", "painted nails"} <= accepted
    assert accepted <= {*atlas.entity(node).aliases}
    assert not {"N1", "NAIL1", "nail disease, susceptibility to"} & {*atlas.names_of(node)}
    assert atlas.find("hangnail plague") == (node,)
    assert atlas.find("N1") == ()  # of two diseases
    assert atlas.info.notes["accepted names that mean several entities, dropped"] >= 2


def test_a_gene_has_its_former_symbols_place_enzyme_pathway_and_family(atlas: Graph) -> None:
    gene = atlas.number("NCBIGene:10")
    assert {"NGF1", "OLDNAIL", "nail growth factor 1"} <= {*atlas.nodes.aliases[gene]}
    assert "SHARED" not in atlas.names_of(gene)
    assert tails(atlas, "NCBIGene:10", "has_activity") == ["EC:1.1.1.1"]
    assert tails(atlas, "NCBIGene:10", "located_at") == ["BAND:1q21.3"]
    assert tails(atlas, "NCBIGene:10", "in_family") == ["FPLX:NAIL_family"]
    assert tails(atlas, "FPLX:NAIL_family", "in_family") == ["FPLX:NAIL_complex"]


def test_variants_are_pathogenic_and_named_without_their_gene(atlas: Graph) -> None:
    assert tails(atlas, "NCBIGene:10", "has_variant") == ["VAR_1", "VAR_2", "VAR_3"]
    names = {v: atlas.entity(atlas.number(v)).name for v in ("VAR_1", "VAR_2", "VAR_3")}
    assert names == {"VAR_1": "rs1", "VAR_2": "VAR_2", "VAR_3": "VAR_3"}
    assert tails(atlas, "VAR_2", "found_in") == ["OMIM:1"]
    assert atlas.info.notes["UniProtKB: variants without a dbSNP id, dropped"] == 1


def test_drugs_have_roles_enzymes_and_genes(atlas: Graph) -> None:
    assert tails(atlas, "CHEBI:4", "has_role") == ["CHEBI:1"]
    assert tails(atlas, "CHEBI:4", "inhibits") == ["EC:1.1.1.1"]
    assert tails(atlas, "CHEBI:4", "response_depends_on") == ["NCBIGene:11"]
    toe, drug = atlas.number("NCBIGene:11"), atlas.number("CHEBI:4")
    assert atlas.qualifiers(drug, "response_depends_on", toe) == {
        "level": "A",
        "label": "Testing required",
        "reference": "1|2",
    }
    assert "CHEBI:5" not in atlas.nodes.ids
    assert "Blueaway" in atlas.names_of(drug)


def test_texts_state_and_contradict_edges(atlas: Graph) -> None:
    (text,) = atlas.prose_of(atlas.number("OMIM:1"))
    assert (text.heading, text.evidence) == ("Description", "curated")
    assert set(text.states) == {
        ("OMIM:1", "has_phenotype", "HP:1"),
        ("OMIM:1", "has_gene", "NCBIGene:10"),
    }
    (dose,) = atlas.prose_of(atlas.number("CHEBI:4"))
    assert (dose.text, dose.evidence) == ("Give half the dose.", "guideline")
    assert dose.heading == "Recommendation for TOE1 Poor Metabolizer"


def test_the_card_counts_and_credits_every_source(atlas: Graph, hpo_folder: Path) -> None:
    shown = CliRunner().invoke(
        app, ["kg", "info", "--graph", "atlas", "--path", str(hpo_folder)], env={"COLUMNS": "120"}
    )
    assert shown.exit_code == 0, shown.output
    told = " ".join(shown.stdout.split())
    for name in ("Mondo", "UniProt", "Reactome", "ChEBI", "CPIC", "HGNC", "Human Phenotype"):
        assert name in told
    for note, count in atlas.info.notes.items():
        assert f"{note}: {count:,}" in told
    assert atlas.info.rendering == "sentences"


def test_the_atlas_is_built_once_for_its_data(
    atlas: Graph, hpo_folder: Path, tmp_path: Path
) -> None:
    (saved,) = (tmp_path / "home" / "graphs").glob("atlas-*")
    assert open_source("atlas", hpo_folder).nodes == atlas.nodes
    more = json.dumps([*MONDO, term("0000099", "more", relations={"is_a": ["0000002"]})])
    data.add("mondo", write(tmp_path / "other", "mondo", mondo=more), verified=False)
    open_source("atlas", hpo_folder)
    assert len(list((tmp_path / "home" / "graphs").glob("atlas-*"))) == 2
    (saved / "has_gene.tails.npy").write_bytes(b"cut")
    data.add("mondo", write(tmp_path / "raw", "mondo"), verified=False)
    with pytest.raises(DataError, match=r"has_gene\.tails\.npy"):
        open_source("atlas", hpo_folder)


def test_diseases_with_different_genes_stay_apart(hpo_folder: Path, atlas: Graph) -> None:
    genes = hpo_folder / "genes_to_phenotype.txt"
    genes.write_text(
        genes.read_text().replace(
            "10\tNAIL1\tHP:1\tBlue nails\t-\tORPHA:1", "11\tTOE1\tHP:1\tBlue nails\t-\tORPHA:1"
        )
    )
    apart = open_source("atlas", hpo_folder)
    assert apart.number("ORPHA:1") != apart.number("OMIM:1")
    assert apart.info.notes["Mondo: pairs of diseases with different genes, not merged"] == 1


def test_an_absent_data_set_and_an_unknown_extra_are_named(
    hpo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDENV_HOME", str(tmp_path / "empty"))
    with pytest.raises(DataError, match="medenv data fetch mondo"):
        open_source("atlas", hpo_folder)
    with pytest.raises(UsageError, match="orphapackets, drugmechdb, medquad, bioasq"):
        open_source("atlas", hpo_folder, {"extras": ["drugbank"]})


CYCLE = json.dumps(
    [term("1", "a", relations={"is_a": ["2"]}), term("2", "b", relations={"is_a": ["1"]})]
)


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        ("mondo", {"mondo": CYCLE}, "without a cycle"),
        ("mondo", {"mondo": json.dumps(MONDO)[:-40]}, r"mondo\.json"),
        ("doid", {"doid": "[]"}, "empty list"),
        ("hgnc", {"hgnc_entries": "a\tb\n"}, "expected the column 'Approved symbol'"),
        (
            "famplex",
            {"relations": "HGNC,NAIL1,isa\n"},
            r"relations\.csv:1: expected 5 cells, got 3",
        ),
        ("mesh", {"mesh_id_label_mappings": "D1\tx\n"}, "expected 5 cells, got 2"),
        ("uniprot", {"gene_variants": FILES["uniprot"]["gene_variants.xml"][:-30]}, "cut short"),
        ("genes", {"human_genes_grch38": "<tryton/>"}, r"records of gnuhealth\.gene, got none"),
        ("reactome", {"reactome": pickle.dumps(Path("x"))}, "plain containers"),
        ("reactome", {"reactome": pickle.dumps([1, 2])}, "expected pathways"),
        ("cpic", {"cpic_table": "Gene,Drug\n"}, "expected the column 'CPICLevel'"),
        ("cpic", {"recommendation_table": "Drug,Recommendation,Gene1\nx\n"}, "expected 3 cells"),
        ("chebi", {"chebi": '{"a": 1}'}, r"chebi\.json"),
    ],
)
def test_a_malformed_file_is_one_line(
    tmp_path: Path, name: str, changed: dict[str, str | bytes], told: str
) -> None:
    with pytest.raises(DataError, match=told) as caught:
        open_source(name, write(tmp_path, name, **changed))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in FILES if name != "icd10cm"])
def test_each_source_is_a_graph_of_its_own(tmp_path: Path, name: str) -> None:
    graph = open_source(name, write(tmp_path, name))
    assert len(graph)
    assert graph.info.licence


@pytest.fixture(scope="module")
def real() -> Graph:
    if not REAL:
        pytest.skip("MEDENV_ATLAS names no folder with the atlas' data sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDENV_HOME", REAL)
        return open_source("atlas", None, {"extras": []})


def test_the_real_atlas_merges_no_diseases_of_different_genes(real: Graph) -> None:
    hpo = open_source("hpo", None, {"namespaces": ["OMIM", "ORPHA", "DECIPHER"]})
    merged: dict[int, list[set[str]]] = {}
    for node in hpo.of_kind("disease").tolist():
        genes = {hpo.nodes.ids[gene] for gene in hpo.step(node, "has_gene").tolist()}
        if genes:
            merged.setdefault(real.number(hpo.nodes.ids[node]), []).append(genes)
    several = [sets for sets in merged.values() if len(sets) > 1]
    assert len(several) > 1_000
    for sets in several:
        assert all(one & other for one, other in itertools.combinations(sets, 2))


def test_names_of_people_and_chromosomes_are_written_large() -> None:
    builder = GraphBuilder(GraphInfo(source="names", version="1", licence=""))
    names = (
        *("Adult Leigh syndrome", "Maternal Leigh syndrome", "Infantile Leigh syndrome"),
        *("Encephalopathy, subacute, of leigh, adult", "46, xy sex reversal 7"),
        *("Axonal Marie-Tooth disease", "Early Marie-Tooth disease", "Loss of a tooth"),
        *("Charcot-marie-tooth disease", "Late Marie-Tooth disease"),
    )
    for number, name in enumerate(names):
        builder.node(f"D:{number}", kind="disease", name=name)
    builder.node("F:0", kind="phenotype", name="Carious tooth")
    shown, counts = with_shown_names(builder.build())
    assert shown.nodes.names[3:5] == (
        "Encephalopathy, subacute, of Leigh, adult",
        "46, XY sex reversal 7",
    )
    assert shown.nodes.names[7:9] == ("Loss of a tooth", "Charcot-Marie-Tooth disease")
    assert shown.find("Encephalopathy, subacute, of leigh, adult") == (3,)
    assert counts["names repaired or replaced for display"] == 3


def test_names_are_repaired_and_offensive_ones_are_not_shown() -> None:
    builder = GraphBuilder(GraphInfo(source="names", version="1", licence=""))
    for n in range(3):
        builder.node(f"D:{n}", kind="disease", name=f"Cataract {n} with coloboma")
    builder.node("D:3", kind="disease", name="Colobomawith cataract,and deafness")
    builder.node("D:4", kind="disease", name="Mental retardation 4", aliases=("ID4",))
    builder.node("D:5", kind="disease", name="Deafness with mental retardation")
    builder.node("D:6", kind="disease", name="Andersonwith disease, 2,4-dienoyl type")
    shown, counts = with_shown_names(builder.build())
    assert shown.nodes.names[3:] == (
        "Coloboma with cataract, and deafness",
        "ID4",
        "Deafness with intellectual disability",
        "Andersonwith disease, 2,4-dienoyl type",
    )
    assert shown.find("Mental retardation 4") == (4,)
    assert shown.entity(5).aliases == ("Deafness with mental retardation",)
    assert counts["offensive names, accepted and not shown"] == 2


def labels() -> dict[str, set[str]]:
    lines = (Path(__file__).parent / "specialties.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return {entity: set(accepted.split("|")) for entity, accepted in rows}


def test_labels_name_specialties() -> None:
    made = labels()
    assert len(made) == 200
    assert set().union(*made.values()) <= set(SPECIALTIES)
    assert set(CLASSES) == set(SPECIALTIES)


def test_the_first_specialty_is_right_for_nine_diseases_in_ten(real: Graph) -> None:
    specialties = Specialties(real)
    first = {entity: specialties.all_of(real.number(entity))[:1] for entity in labels()}
    right = [entity for entity, accepted in labels().items() if set(first[entity]) & accepted]
    assert len(right) >= 180
    assert any(len(specialties.all_of(node)) > 1 for node in real.of_kind("disease").tolist())


def test_a_disease_has_the_specialties_of_its_classes() -> None:
    info = GraphInfo(source="classes", version="1", licence="")
    builder = GraphBuilder(info)
    for root in ("MONDO:0002025", "MONDO:0005071", "MONDO:0005070"):
        builder.node(root, kind="disease_class", name=root)
    builder.node("MONDO:9", kind="disease_class", name="below")
    builder.node("D:1", kind="disease", name="One")
    builder.node("D:2", kind="disease", name="Two")
    builder.relation(IN_CLASS)
    builder.edge("MONDO:9", "in_class", "MONDO:0002025")
    builder.edge("D:1", "in_class", "MONDO:9")
    builder.edge("D:1", "in_class", "MONDO:0005071")
    graph = builder.build()
    specialties = Specialties(graph)
    assert set(specialties.all_of(graph.number("D:1"))) == {"psychiatry", "neurology"}
    assert specialties.all_of(graph.number("D:2")) == ()


def test_passages_of_pubmed_state_treatments_but_those_held_out(
    atlas: Graph, hpo_folder: Path, tmp_path: Path
) -> None:
    del atlas  # whose data sets are here
    passages, asked = tmp_path / "passages.jsonl", tmp_path / "asked.jsonl"
    text = "Nailazole is approved for the treatment of nail disease."
    passages.write_text(json.dumps({"pmid": "7", "passages": [text]}) + "\n")
    asked.write_text(json.dumps({"question": "?", "pmids": ["7"]}) + "\n")
    data.add("bioasq", passages)
    told = open_source("atlas", hpo_folder)
    assert tails(told, "OMIM:1", "reported_treatment") == ["MESH:D2"]
    assert "Passages of PubMed" in told.info.acknowledgement
    held = open_source("atlas", hpo_folder, {"held_out": str(asked)})
    assert tails(held, "OMIM:1", "reported_treatment") == []
    assert held.info.notes["BioASQ: passages held out, not read"] == 1


def test_extras_add_mechanisms_and_answers(atlas: Graph, hpo_folder: Path, tmp_path: Path) -> None:
    nodes = [
        {"id": "MESH:D2", "label": "Drug", "name": "nailazole"},
        {"id": "UniProt:P1", "label": "Protein", "name": "Nail protein"},
        {"id": "MESH:D9", "label": "Disease", "name": "Common nail disease"},
    ]
    links = [
        {"key": "decreases activity of", "source": "MESH:D2", "target": "UniProt:P1"},
        {"key": "phenotype of", "source": "UniProt:P1", "target": "MESH:D9"},
        {"key": "smells of", "source": "UniProt:P1", "target": "MESH:D9"},
    ]
    mechanism = tmp_path / "mechanisms.jsonl"
    mechanism.write_text(json.dumps({"nodes": nodes, "links": links}) + "\n")
    answers = tmp_path / "answers.jsonl"
    rows = [
        {
            "id": n,
            "source": "GARD",
            "focus": focus,
            "qa": [{"question": "?", "answer": "Blue nails are cut.", "qtype": "treatment"}],
        }
        for n, focus in enumerate(("Nail disease", "Unheard of"))
    ]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data.add("drugmechdb", mechanism)
    data.add("medquad", answers)
    more = open_source("atlas", hpo_folder)
    assert tails(more, "MESH:D2", "decreases_activity_of") == ["UniProt:P1"]
    assert more.number("MESH:D2") == more.number("CHEBI:4")
    assert tails(more, "UniProt:P1", "manifestation_of") == ["MESH:D9"]
    assert more.info.notes["DrugMechDB: links of rare predicates, dropped"] == 1
    frequency = more.qualifiers(more.number("OMIM:1"), "has_phenotype", more.number("HP:1"))
    assert frequency == atlas.qualifiers(
        atlas.number("OMIM:1"), "has_phenotype", atlas.number("HP:1")
    )
    told = {prose.source: prose for prose in more.prose_of(more.number("OMIM:1"))}
    assert told["MedQuAD (GARD)"].heading == "Treatment"
    assert ("OMIM:1", "has_phenotype", "HP:1") in told["MedQuAD (GARD)"].states
    dropped = "MedQuAD: answers about no single disease here, dropped"
    assert more.info.notes[dropped] == 1
    assert open_source("atlas", hpo_folder, {"extras": []}).nodes == atlas.nodes
