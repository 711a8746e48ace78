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
LACKS_PHENOTYPE = Relation(name="lacks_phenotype", inverse="absent_in")  # looked for, not found
HAS_GENE = Relation(name="has_gene", inverse="gene_of", factual=True)
HAS_INHERITANCE = Relation(name="has_inheritance", inverse="inheritance_of")
HAS_ONSET = Relation(name="has_onset", inverse="onset_of")
HAS_COURSE = Relation(name="has_course", inverse="course_of")
HAS_MODIFIER = Relation(name="has_modifier", inverse="modifier_of")
HAS_HISTORY = Relation(name="has_history", inverse="history_of")
HAS_PREVALENCE = Relation(name="has_prevalence", inverse="prevalence_of")
IS_A = Relation(name="is_a", inverse="has_subtype")
IN_CLASS = Relation(name="in_class", inverse="class_of")  # disease, disease class to disease class
IN_PATHWAY = Relation(name="in_pathway", inverse="has_member_gene", factual=True)  # gene to pathway
IN_FAMILY = Relation(name="in_family", inverse="has_member", factual=True)  # gene, family to family
HAS_ACTIVITY = Relation(name="has_activity", inverse="activity_of", factual=True)  # gene to enzyme
HAS_VARIANT = Relation(name="has_variant", inverse="variant_of", factual=True)  # gene to variant
VARIANT_IN = Relation(name="found_in", inverse="has_known_variant", factual=True)  # to disease
INHIBITS = Relation(name="inhibits", inverse="inhibited_by", factual=True)  # drug to enzyme
RESPONSE_DEPENDS_ON = Relation(
    name="response_depends_on", inverse="affects_response_to", factual=True
)
TREATMENT_NAMES = Relation(  # disease to drug, in a text on the treatment of the disease
    name="treatment_names", inverse="named_in_treatment_of", factual=True
)
REPORTED_TREATMENT = Relation(  # disease to drug, in a sentence of the literature
    name="reported_treatment", inverse="reported_to_treat", factual=True
)
REPORTED_TARGET = Relation(  # drug to the gene of its target, in such a sentence
    name="reported_to_target", inverse="reported_target_of", factual=True
)
HAS_ROLE = Relation(name="has_role", inverse="role_of")  # drug to role
HAS_KEYWORD = Relation(name="has_keyword", inverse="keyword_of")  # disease to keyword
LOCATED_AT = Relation(name="located_at", inverse="location_of")  # gene to chromosome band

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
