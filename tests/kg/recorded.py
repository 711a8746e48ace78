"""Passages in plain prose, and what a model replied to each when it was asked for its relations."""

import json

from medenv.records import Passage

SOURCE = "letters 2031"


def passage(number: int, title: str, text: str) -> Passage:
    return Passage(id=f"letter:{number}", title=title, text=text, source=SOURCE)


CORPUS = (
    passage(
        1,
        "Marrow Bay syndrome",
        "Marrow Bay syndrome (MBS) is caused by variants in QUAB1. Patients with MBS walk leaning "
        "backwards, which is called backward-leaning gait.",
    ),
    passage(
        2,
        "A second family",
        "We report a family with Marrow Bay syndrome. All of them had seasonal hoarseness.",
    ),
    passage(
        3,
        "Tolman-Reyes disease",
        "Seasonal hoarseness is the first sign of Tolman-Reyes disease. Tolman-Reyes disease is "
        "treated with veltorin.",
    ),
    passage(4, "Veltorin", "Veltorin blocks the product of FENA1. It can cause blue-banded nails."),
    passage(
        5,
        "Night lake syndrome",
        "Night lake syndrome comes with copper-coloured freckles. ZORI4 is mutated in night lake "
        "syndrome.",
    ),
    passage(6, "Editorial", "Rare diseases deserve more attention than they are given."),
    passage(7, "Marrow bay syndrome again", "The gene of Marrow Bay Syndrome, QUAB1, was cloned."),
)


def reply(entities: dict[str, str], *relations: tuple[str, str, str, str], **aliases: str) -> str:
    """A reply in the form that is asked for; entities by name with their kind."""
    named = [{"name": name, "kind": kind} for name, kind in entities.items()]
    for entity in named:
        entity["aliases"] = [a for a, name in aliases.items() if name == entity["name"]]  # type: ignore[assignment]
    listed = [
        {"head": head, "relation": relation, "tail": tail, "sentence": sentence}
        for head, relation, tail, sentence in relations
    ]
    return json.dumps({"entities": named, "relations": listed})


REPLIES = {
    "letter:1": reply(
        {
            "Marrow Bay syndrome": "disease",
            "QUAB1": "gene",
            "backward-leaning gait": "phenotype",
            "Leaning tower": "location",
        },
        (
            "Marrow Bay syndrome",
            "has_gene",
            "QUAB1",
            "Marrow Bay syndrome (MBS) is caused by variants in QUAB1.",
        ),
        (
            "Marrow Bay syndrome",
            "has_phenotype",
            "backward-leaning gait",
            "Patients with MBS walk leaning backwards, which is called backward-leaning gait.",
        ),
        ("Marrow Bay syndrome", "related_to", "QUAB1", "MBS"),
        MBS="Marrow Bay syndrome",
    ),
    "letter:2": "```json\n"
    + reply(
        {"Marrow Bay syndrome": "disease", "seasonal hoarseness": "phenotype", "FBN1": "gene"},
        (
            "Marrow Bay syndrome",
            "has_phenotype",
            "Seasonal hoarseness",
            "All of them had seasonal hoarseness.",
        ),
        ("Marrow Bay syndrome", "has_gene", "FBN1", "All of them had seasonal hoarseness."),
    )
    + "\n```",
    "letter:3": "<think>Hoarseness, I see.</think>"
    + reply(
        {
            "Tolman-Reyes disease": "disease",
            "Seasonal hoarseness": "phenotype",
            "veltorin": "drug",
        },
        (
            "Tolman-Reyes disease",
            "has_phenotype",
            "Seasonal hoarseness",
            "Seasonal hoarseness is the first sign of Tolman-Reyes disease.",
        ),
        (
            "Tolman-Reyes disease",
            "treated_with",
            "veltorin",
            "Tolman-Reyes disease is treated with veltorin.",
        ),
        ("veltorin", "treated_with", "Tolman-Reyes disease", "is treated with veltorin."),
        ("veltorin", "treated_with", "veltorin", "is treated with veltorin."),
    ),
    "letter:4": reply(
        {"Veltorin": "drug", "FENA1": "gene", "blue-banded nails": "phenotype"},
        ("Veltorin", "targets", "FENA1", "Veltorin blocks the product of FENA1."),
        ("Veltorin", "has_side_effect", "blue-banded nails", "It often causes blue nails."),
    ),
    "letter:5": "Night lake syndrome has copper-coloured freckles and the gene ZORI4.",
    "letter:6": '{"entities": [], "relations": []}',
    "letter:7": reply(
        {"Marrow Bay Syndrome": "disease", "QUAB1": "gene"},
        (
            "Marrow Bay Syndrome",
            "has_gene",
            "QUAB1",
            "The gene of Marrow Bay Syndrome, QUAB1, was cloned.",
        ),
    ),
}
"""Passage id to the reply; one is prose, and some things in the others are not in the passage."""
