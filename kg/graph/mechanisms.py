"""Relations of mechanisms: how a drug, a protein or a process acts, and how that is said."""

from __future__ import annotations

from typing import NamedTuple

from medenv.kg.graph.schema import Relation


class Mechanism(NamedTuple):
    """A relation of mechanisms in words.

    Args:
        name: Name of the relation.
        inverse: Name of the opposite direction.
        verb: What is said of the head: ``"inhibits"``.
        participle: The same of several: ``"inhibiting"``.
        relative: What is said of one or several tails, as a clause: ``"which {from} inhibits"``.
        passive: What is said of the tail: ``"is inhibited by"``.
    """

    name: str
    inverse: str
    verb: str
    participle: str
    relative: str
    passive: str

    @property
    def relation(self) -> Relation:
        """The relation of the graph."""
        return Relation(name=self.name, inverse=self.inverse, factual=True)


MECHANISMS = {
    row[0]: Mechanism(*row)
    for row in (
        (
            *("decreases_activity_of", "activity_decreased_by", "decreases the activity of"),
            *("decreasing the activity of", "whose activity {from} decreases"),
            "has its activity decreased by",
        ),
        (
            *("increases_activity_of", "activity_increased_by", "increases the activity of"),
            *("increasing the activity of", "whose activity {from} increases"),
            "has its activity increased by",
        ),
        (
            *("decreases_abundance_of", "abundance_decreased_by", "lowers the amount of"),
            *("lowering the amount of", "whose amount {from} lowers"),
            "is lowered in amount by",
        ),
        (
            *("increases_abundance_of", "abundance_increased_by", "raises the amount of"),
            *("raising the amount of", "whose amount {from} raises"),
            "is raised in amount by",
        ),
        (
            *("positively_regulates", "positively_regulated_by", "promotes", "promoting"),
            *("which {from} promotes", "is promoted by"),
        ),
        (
            *("negatively_regulates", "negatively_regulated_by", "suppresses", "suppressing"),
            *("which {from} suppresses", "is suppressed by"),
        ),
        (
            *("positively_correlated_with", "positively_correlated_to", "favours", "favouring"),
            *("which {from} favours", "is favoured by"),
        ),
        (
            *("negatively_correlated_with", "negatively_correlated_to", "counteracts"),
            *("counteracting", "which {from} counteracts", "is counteracted by"),
        ),
        ("causes", "caused_by", "causes", "causing", "which {from} causes", "is caused by"),
        (
            *("contributes_to", "contributed_to_by", "contributes to", "contributing to"),
            *("to which {from} contributes", "receives a contribution from"),
        ),
        (
            *("participates_in", "has_participant", "takes part in", "taking part in"),
            *("in which {from} takes part", "has as a participant"),
        ),
        (
            *("occurs_in", "site_of", "occurs in", "occurring in"),
            *("in which {from} occurs", "is the site of"),
        ),
        (
            *("located_in", "contains", "is located in", "located in"),
            *("in which {from} is located", "contains"),
        ),
        (
            *("manifestation_of", "manifests_as", "is a manifestation of", "being signs of"),
            *("of which {from} is a manifestation", "shows itself by"),
        ),
        (
            *("in_taxon", "taxon_of", "is found in the organism", "found in the organism"),
            *("in which {from} is found", "has"),
        ),
        ("treats", "treated_by", "treats", "treating", "which {from} treats", "is treated by"),
        (
            "prevents",
            "prevented_by",
            "prevents",
            "preventing",
            "which {from} prevents",
            "is prevented by",
        ),
        (
            "disrupts",
            "disrupted_by",
            "disrupts",
            "disrupting",
            "which {from} disrupts",
            "is disrupted by",
        ),
        (
            *("has_metabolite", "metabolite_of", "is metabolised to", "metabolised to"),
            *("to which {from} is metabolised", "is a metabolite of"),
        ),
        (
            "regulates",
            "regulated_by",
            "regulates",
            "regulating",
            "which {from} regulates",
            "is regulated by",
        ),
        (
            "part_of",
            "has_part",
            "is a part of",
            "that are parts of",
            "of which {from} is a part",
            "has the part",
        ),
        (
            "produces",
            "produced_by",
            "produces",
            "producing",
            "which {from} produces",
            "is produced by",
        ),
        (
            *("affects_risk_for", "risk_affected_by", "affects the risk of"),
            *("affecting the risk of", "whose risk {from} affects", "has a risk that depends on"),
        ),
    )
}
"""The relations by name."""
