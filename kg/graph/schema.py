"""The kinds of nodes and the relations that biomedical sources are read into."""

from __future__ import annotations

from medenv.records import Record


class Relation(Record, frozen=True, kw_only=True):
    """A typed, directed relation: "head `name` tail", and backwards "tail `inverse` head".

    Args:
        name: Name in the forward direction, e.g. ``"has_gene"``.
        inverse: Name in the backward direction, e.g. ``"gene_of"``.
        factual: Whether it states a fact between entities that a question may walk. Relations to
            hubs (inheritance, onset) and the ontology's own hierarchy are not factual: they are
            attributes, and a path over them would prove nothing.
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
"""Kind of a term to the relation by which a disease is annotated with it."""

QUALIFIERS = ("frequency", "onset", "evidence", "reference", "sex", "modifier")
"""What may be known of a disease's annotation, each kept in a column parallel to the edges."""

ENTAILED_THROUGH = {
    HAS_PHENOTYPE.inverse: IS_A.inverse,
    HAS_INHERITANCE.inverse: IS_A.inverse,
    HAS_ONSET.inverse: IS_A.inverse,
    HAS_COURSE.inverse: IS_A.inverse,
    IS_A.inverse: IS_A.inverse,
    IS_A.name: IS_A.name,
}
"""Relations that hold for an entity when they hold for what lies below it: a finding is reported
in a disease also where one of its subtypes is (the true-path rule of ontologies), and a subtype of
a subtype is a subtype."""
