"""Share of ordinary clinical names of diseases that are accepted as right answers.

    python benchmarks/clinical_names.py

The names are of general use: eponyms, abbreviations, older and shorter names. Each was written down
with the disease's number in OMIM before any graph was asked.
"""

from __future__ import annotations

import argparse

from medenv.data import is_here
from medenv.kg import Graph
from medenv.kg.sources import open_source
from medenv.reward import EntityNames, judge_answer

NAMES = {
    "CF": 219700, "OCA4": 606574, "DFNA13": 601868, "CMT4J": 611228,
    "Hereditary transthyretin amyloidosis": 105210, "CPS1 deficiency": 237300,
    "Galactokinase deficiency": 230200, "Spinocerebellar ataxia 29": 117360, "PKU": 261600,
    "MSUD": 248600, "Gaucher disease type 1": 230800, "Pompe disease": 232300,
    "Fabry disease": 301500, "Tay-Sachs disease": 272800, "Wilson disease": 277900,
    "Huntington disease": 143100, "Friedreich ataxia": 229300,
    "Duchenne muscular dystrophy": 310200, "Becker muscular dystrophy": 300376,
    "Neurofibromatosis type 1": 162200, "Tuberous sclerosis 1": 191100,
    "von Hippel-Lindau disease": 193300, "Marfan's syndrome": 154700,
    "Vascular Ehlers-Danlos syndrome": 130050, "Osteogenesis imperfecta type I": 166200,
    "Hurler syndrome": 607014, "Hunter syndrome": 309900,
    "Niemann-Pick disease type C1": 257220, "Canavan disease": 271900, "Krabbe disease": 245200,
    "Metachromatic leukodystrophy": 250100, "X-linked adrenoleukodystrophy": 300100,
    "Williams syndrome": 194050, "DiGeorge syndrome": 188400,
    "Hereditary hemochromatosis type 1": 235200, "Alpha-1 antitrypsin deficiency": 613490,
    "Sickle cell disease": 603903, "Classic hemophilia": 306700,
    "Familial Mediterranean fever": 249100, "Best disease": 153700,
    "McArdle disease": 232600, "Von Gierke disease": 232200, "Lesch-Nyhan disease": 300322,
    "OTC deficiency": 311250, "MCAD deficiency": 201450, "SLO syndrome": 270400,
    "Louis-Bar syndrome": 208900, "Kennedy disease": 313200, "Steinert disease": 160900,
    "Werdnig-Hoffmann disease": 253300, "Lafora disease": 254780, "CADASIL": 125310,
    "Alcaptonuria": 203500, "Cystinosis": 219800, "Crouzon disease": 123500,
    "Treacher Collins syndrome": 154500, "Menkes disease": 309400, "Refsum disease": 266500,
    "Wolman disease": 620151, "Leber hereditary optic neuropathy": 535000, "MELAS": 540000,
    "Dejerine-Sottas disease": 145900, "Charcot-Marie-Tooth disease type 1A": 118220,
    "Kostmann syndrome": 610738, "Sotos syndrome": 117550, "Alport syndrome, X-linked": 301050,
    "Gorlin syndrome": 109400, "Cowden disease": 158350, "Peutz-Jeghers syndrome": 175200,
    "Familial adenomatous polyposis": 175100, "Tangier disease": 205400,
    "Hereditary fructose intolerance": 229600, "Classic galactosemia": 230400,
    "Biotinidase deficiency": 253260, "Wiskott-Aldrich syndrome": 301000,
    "Bruton agammaglobulinemia": 300755, "ADA-SCID": 102700,
}  # fmt: skip
"""Name to number in OMIM."""


def refused(graph: Graph) -> list[str]:
    """Return the names that are not accepted as the disease that they mean."""
    known = EntityNames(graph.entity(node) for node in range(len(graph)))
    return [
        name
        for name, number in NAMES.items()
        if not judge_answer(name, [graph.entity(graph.number(f"OMIM:{number}"))], known).right
    ]


def main() -> None:
    """Print a table of the share of accepted names by graph."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("| graph | names | accepted | refused |\n|---|---|---|---|")
    for source in ("hpo", "atlas") if is_here("atlas") else ("hpo",):
        wrong = refused(open_source(source))
        share = 1 - len(wrong) / len(NAMES)
        print(f"| {source} | {len(NAMES)} | {share:.1%} | {'; '.join(wrong) or 'none'} |")


if __name__ == "__main__":
    main()
