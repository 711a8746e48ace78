"""Node kinds and relations of graphs from biomedical sources."""

from __future__ import annotations

from medenv.records import Record


class Relation(Record, frozen=True, kw_only=True):
    """A typed, directed relation: "head `name` tail", and in reverse "tail `inverse` head".

    Args:
        name: Name in the forward direction, e.g. ``"has_gene"``.
        inverse: Name in the backward direction, e.g. ``"gene_of"``.
        factual: Whether a question's path may use it as a fact between entities. Relations to hubs
            (inheritance, onset) and the ontology's hierarchy are attributes, not factual: a path
            over them would prove nothing.
    """

    name: str
    inverse: str
    factual: bool = False


HAS_PHENOTYPE = Relation(name="has_phenotype", inverse="phenotype_of", factual=True)
HAS_GENE = Relation(name="has_gene", inverse="gene_of", factual=True)
HAS_INHERITANCE = Relation(name="has_inheritance", inverse="inheritance_of")
HAS_ONSET = Relation(name="has_onset", inverse="onset_of")
HAS_COURSE = Relation(name="has_course", inverse="course_of")
HAS_MODIFIER = Relation(name="has_modifier", inverse="modifier_of")
HAS_HISTORY = Relation(name="has_history", inverse="history_of")
HAS_PREVALENCE = Relation(name="has_prevalence", inverse="prevalence_of")
IS_A = Relation(name="is_a", inverse="has_subtype")

ATTRIBUTES = {
    "phenotype": HAS_PHENOTYPE,
    "inheritance": HAS_INHERITANCE,
    "onset": HAS_ONSET,
    "course": HAS_COURSE,
    "modifier": HAS_MODIFIER,
    "history": HAS_HISTORY,
}
"""Kind of a term to the relation from an annotated disease."""

QUALIFIERS = ("frequency", "onset", "evidence", "reference", "sex", "modifier")
"""Qualifiers of a disease's annotations, each a column parallel to the edges."""

ENTAILED_THROUGH = {
    HAS_PHENOTYPE.inverse: IS_A.inverse,
    HAS_INHERITANCE.inverse: IS_A.inverse,
    HAS_ONSET.inverse: IS_A.inverse,
    HAS_COURSE.inverse: IS_A.inverse,
    IS_A.inverse: IS_A.inverse,
    IS_A.name: IS_A.name,
}
"""Relations that an entity inherits from its subtypes: a finding occurs in a disease if one of its
subtypes does (the true-path rule of ontologies), and subtypes are transitive."""
