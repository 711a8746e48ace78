"""Small files of the shape that the atlas' sources have; all content is invented."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

from medenv import data


def term(number: str, name: str, **fields: Any) -> dict[str, Any]:
    refs = [
        dict(zip(("namespace", "id"), x.split(":"), strict=True)) for x in fields.pop("xrefs", ())
    ]
    return {"id": number, "name": name, "xrefs": refs, **fields}


MONDO = [
    term("0000001", "disease"),
    term("0005583", "non-human animal disease", relations={"is_a": ["0000001"]}),
    term("0000002", "nail class", relations={"is_a": ["0000001"]}),
    term("0000003", "limb class", relations={"is_a": ["0000001"]}),
    term(
        "0000010",
        "nail disease",
        synonyms=["hangnail plague", "N1", "NAIL1", "nail disease, susceptibility to"],
        xrefs=["OMIM:1", "Orphanet:1", "MESH:D1", "DOID:5", "SCTID:77"],
        relations={"is_a": ["0000002"]},
    ),
    term(
        "0000011",
        "second disease",
        synonyms=["N1"],
        xrefs=["OMIM:2"],
        relations={"is_a": ["0000002", "0000003"]},
    ),
    term("0000012", "dog nails", xrefs=["OMIA:3"], relations={"is_a": ["0000002"]}),
]
MESH = (
    "D1\tNail Diseases\tRed nail disorder|Onychosis\tC17.800\t\n"
    "D2\tNailazole\tBlueaway\tD02.33\t\n"
    "D3\tHospitals\t\tN02.1\t\n"
)
DOID = [term("DOID:5", "nail illness", synonyms=["painted nails"], xrefs=["ICD10CM:L60"])]
HGNC = (
    "HGNC ID\tApproved symbol\tApproved name\tStatus\tAlias symbols\t"
    "NCBI Gene ID(supplied by NCBI)\tPrevious symbols\tEnzyme IDs\n"
    "HGNC:1\tNAIL1\tnail growth factor 1\tApproved\tNGF1, SHARED\t10\tOLDNAIL\t1.1.1.1\n"
    "HGNC:2\tTOE1\ttoe protein\tApproved\tSHARED\t11\t\t\n"
    "HGNC:3\tGONE1\tgone\tEntry Withdrawn\t\t12\t\t\n"
)
ENZYMES = [term("1.1.1.1", "Nail reductase"), term("1.1.1", "Reductases")]
FAMPLEX = (
    "HGNC,NAIL1,isa,FPLX,NAIL_family\n"
    "UP,P1,isa,FPLX,NAIL_family\n"
    "FPLX,NAIL_family,partof,FPLX,NAIL_complex\n"
)
CHEBI = [
    term("CHEBI:23888", "drug"),
    term("CHEBI:1", "nail hardener", relations={"is_a": ["CHEBI:23888"]}),
    term("CHEBI:2", "EC 1.1.1.1 (nail reductase) inhibitor"),
    term("CHEBI:3", "contaminant"),
    term("CHEBI:4", "nailazole", relations={"has_role": ["CHEBI:1", "CHEBI:2", "CHEBI:3"]}),
    term("CHEBI:5", "soot", relations={"has_role": ["CHEBI:3"]}),
]


def xml(model: str, *records: tuple[str, dict[str, str]]) -> str:
    rows = []
    for number, fields in records:
        cells = "".join(
            f'<field name="{name}" {value}/>'
            if "=" in value
            else f'<field name="{name}">{value}</field>'
            for name, value in fields.items()
        )
        rows.append(f'<record model="{model}" id="{number}">{cells}</record>')
    return f'<?xml version="1.0"?><tryton><data grouped="1">{"".join(rows)}</data></tryton>'


DISEASES = xml(
    "gnuhealth.protein.disease",
    (
        "DI-1",
        {
            "disease_name": "Disease of the nails",
            "acronym": "DNAILS",
            "mim_reference": "MIM:1",
            "keywords": "Nail,Rare",
            "description": "An autosomal recessive disorder with blue nails, caused by NAIL1.",
        },
    ),
    ("DI-2", {"disease_name": "Elsewhere", "acronym": "E", "mim_reference": "MIM:99"}),
    ("DI-3", {"disease_name": "No number", "mim_reference": ""}),
)
VARIANTS = xml(
    "gnuhealth.gene.variant",
    *(
        (
            f"VAR_{n}",
            {
                "gene": f"search=\"[('name', '=', '{gene}')]\"",
                "aa_change": f"p.Ala{n}Cys",
                "significance": grade,
                "dbsnp": rs,
            },
        )
        for n, gene, grade, rs in (
            (1, "NAIL1", "lpp", "rs1"),
            (2, "OLDNAIL", "lpp", "rs2"),
            (3, "NAIL1", "lpp", "rs2"),
            (4, "NAIL1", "lbb", "rs4"),
            (5, "NAIL1", "lpp", "-"),
        )
    ),
)
LINKS = xml(
    "gnuhealth.gene.variant.phenotype",
    *((f"L{n}", {"variant": f'ref="VAR_{n}"', "phenotype": 'ref="DI-1"'}) for n in range(1, 6)),
)
GENES = xml(
    "gnuhealth.gene",
    ("NAIL1", {"name": "NAIL1", "gene_id": "10", "location": "1q21.3"}),
    ("TOE1", {"name": "TOE1", "gene_id": "11", "location": "2p1"}),
    ("X", {"name": "X", "gene_id": "", "location": "3p1"}),
)
PATHWAYS = {
    "Nail growth": {"OLDNAIL", "TOE1", "HAND1"},
    "All of life": {f"G{n}" for n in range(61)},
    "Two": {"NAIL1", "TOE1"},
}
PAIRS = (
    "Gene,Drug,RxNorm,ATC,Guideline,CPICLevel,CPICLevelStatus,PharmGKBLevel,FDALabel,PMID\n"
    'TOE1,nailazole,1,"A, B",,A,Final,1A,Testing required,1;2\n'
)
RECOMMENDATIONS = (
    "Drug,Gene1,Phenotype1,Gene2,Phenotype2,Recommendation\n"
    "nailazole,TOE1,Poor Metabolizer,None,None,Give half the dose.\n"
    "nailazole,TOE1,Normal Metabolizer,None,None,None\n"
)

FILES: dict[str, dict[str, str | bytes]] = {
    "mondo": {"mondo.json": json.dumps(MONDO)},
    "doid": {"doid.json": json.dumps(DOID)},
    "hgnc": {"hgnc_entries.tsv": HGNC, "eccode.json": json.dumps(ENZYMES)},
    "famplex": {"entities.csv": "x\n", "relations.csv": FAMPLEX, "equivalences.csv": "x\n"},
    "chebi": {"chebi.json": json.dumps(CHEBI)},
    "mesh": {"mesh_id_label_mappings.tsv": MESH},
    "uniprot": {
        "protein_diseases.xml": DISEASES,
        "gene_variants.xml": VARIANTS,
        "variant_phenotypes.xml": LINKS,
    },
    "genes": {"human_genes_grch38.xml": GENES},
    "reactome": {"reactome.pkl": pickle.dumps(PATHWAYS)},
    "cpic": {"cpic-table.csv": PAIRS, "recommendation-table.csv": RECOMMENDATIONS},
    "icd10cm": {"icd10c-tabular-April-1-2026.xml": "<x/>"},
}


def write(folder: Path, name: str, **changed: str | bytes) -> Path:
    """Write the files of a data set, some of them with other content, and return their folder."""
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    for file, content in FILES[name].items():
        content = changed.get(file.split(".")[0].replace("-", "_"), content)
        (own / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    return own


def add_all(folder: Path) -> None:
    """Add all data sets of the atlas to the data home."""
    for name in FILES:
        data.add(name, write(folder, name), verified=False)
