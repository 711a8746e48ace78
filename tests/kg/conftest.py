from pathlib import Path

import pytest

from medenv.kg import Documents, Graph, toy_graph, toy_questions
from medenv.kg.sources.toy import ToyQuestions

OBO = """format-version: 1.2
data-version: hp/releases/2031-04-05

[Term]
id: HP:0000118
name: Phenotypic abnormality

[Term]
id: HP:0000005
name: Mode of inheritance

[Term]
id: HP:0012823
name: Clinical modifier

[Term]
id: HP:0031797
name: Clinical course
is_a: HP:0012823 ! Clinical modifier

[Term]
id: HP:0003674
name: Onset
is_a: HP:0031797 ! Clinical course

[Term]
id: HP:1
name: Blue nails
alt_id: HP:9
def: "Nails that are \\"blue\\"." [PMID:1]
comment: Never seen.
synonym: "Nails, blue" EXACT layperson []
synonym: "Blue \\"fingertips\\" EXACT" BROAD []
synonym: "Blue thumbnail" NARROW []
synonym: "Cyanosis" RELATED []
synonym: "Blueness" []
xref: UMLS:C1
is_a: HP:0000118 ! Phenotypic abnormality

[Term]
id: HP:2
name: Green nails
is_a: HP:0000118 ! Phenotypic abnormality

[Term]
id: HP:3
name: Adult onset
is_a: HP:0003674 ! Onset

[Term]
id: HP:4
name: Dominant inheritance
is_a: HP:0000005 ! Mode of inheritance

[Term]
id: HP:5
name: obsolete Nails
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""

HPOA_HEADER = (
    "database_id disease_name qualifier hpo_id reference evidence onset frequency sex modifier "
    "aspect biocuration"
).replace(" ", "\t")
GENES_HEADER = "ncbi_gene_id gene_symbol hpo_id hpo_name frequency disease_id".replace(" ", "\t")

HPOA_ROWS = [
    "OMIM:1|Nail disease||HP:9|PMID:7|PCS||1/2|MALE||P|x",
    "OMIM:1|Nail disease||HP:1|PMID:8|TAS||HP:0040283|||P|x",
    "OMIM:1|Nail disease|NOT|HP:2|PMID:7|PCS|||||P|x",
    "OMIM:1|Nail disease||HP:3|PMID:7|PCS|||||C|x",
    "OMIM:2|Second disease||HP:2|PMID:7|PCS||0/4|||P|x",
    "OMIM:2|Second illness||HP:4|PMID:7|PCS|||||I|x",
    "ORPHA:1|Nail disorder||HP:1|ORPHA:1|TAS||HP:0040281|||P|x",
]
GENE_ROWS = [
    "10|NAIL1|HP:1|Blue nails|1/2|OMIM:1",
    "10|NAIL1|HP:3|Adult onset|-|OMIM:1",
    "10|NAIL1|HP:1|Blue nails|-|ORPHA:1",
]


def _table(*lines: str) -> str:
    return "".join(line.replace("|", "\t") + "\n" for line in lines)


@pytest.fixture
def hpo_folder(tmp_path: Path) -> Path:
    """A folder with three small, well-formed files in the HPO's formats."""
    folder = tmp_path / "hpo"
    folder.mkdir()
    (folder / "hp.obo").write_text(OBO, encoding="utf-8")
    hpoa = _table('#description: "test"', "#version: 2031-04-05", HPOA_HEADER, *HPOA_ROWS)
    (folder / "phenotype.hpoa").write_text(hpoa, encoding="utf-8")
    genes = _table(GENES_HEADER, *GENE_ROWS)
    (folder / "genes_to_phenotype.txt").write_text(genes, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def graph() -> Graph:
    return toy_graph()


@pytest.fixture(scope="session")
def documents(graph: Graph) -> Documents:
    return Documents(graph)


@pytest.fixture(scope="session")
def questions() -> ToyQuestions:
    return toy_questions()
