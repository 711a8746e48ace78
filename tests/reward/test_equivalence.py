"""Two tables of medical names, the same and not the same, and the guards between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.records import Entity
from medenv.reward import EntityNames, judge_answer
from medenv.reward.answers.equivalence import MAX_CHARS

from .builder import DRAVET, SCN1A, SCN2A


def disease(name, *aliases, number=1):
    return Entity(id=f"D:{number}", kind="disease", name=name, aliases=aliases)


def gene(name, *aliases, number=1):
    return Entity(id=f"G:{number}", kind="gene", name=name, aliases=aliases)


SAME = [
    ("Dravet syndrome", "dravet syndrome"),
    ("Dravet syndrome", "The answer is Dravet syndrome."),
    ("Dravet syndrome", "**Dravet Syndrome**"),
    ("Crohn disease", "Crohn's disease"),
    ("Crohn disease", "crohn’s disease"),
    ("Sjögren syndrome", "Sjogren's syndrome"),
    ("Behçet disease", "Behcet disease"),
    ("Ménière disease", "Meniere’s disease"),
    ("Beta-thalassemia", "β-thalassaemia"),
    ("Alpha-1-antitrypsin deficiency", "α1-antitrypsin deficiency"),
    ("Diabetes mellitus, type 2", "type II diabetes mellitus"),
    ("Diabetes mellitus, type 2", "diabetes mellitus type 2"),
    ("Diabetes mellitus, type 2", "Diabetes Mellitus Type II"),
    ("Charcot-Marie-Tooth disease type 1A", "Charcot Marie Tooth disease 1A"),
    ("Charcot-Marie-Tooth disease type 1A", "Charcot-Marie-Tooth disease, type IA"),
    ("Deafness, autosomal recessive 12", "autosomal recessive deafness 12"),
    (
        "Muscular dystrophy, limb-girdle, autosomal recessive 2",
        "autosomal recessive limb-girdle muscular dystrophy 2",
    ),
    ("Mucopolysaccharidosis type II", "mucopolysaccharidosis 2"),
    ("Niemann-Pick disease, type C1", "Niemann–Pick disease type C1"),
    ("Factor VIII deficiency", "factor 8 deficiency"),
    ("Seizure", "Seizures"),
    ("Iron deficiency anemia", "iron-deficiency anaemia"),
    ("Wilms tumor", "Wilms' tumour"),
    ("Esophageal atresia", "oesophageal atresia"),
    ("Diarrhea", "diarrhoea"),
    ("Celiac disease", "coeliac disease"),
    ("Hypercalcemia", "hypercalcaemia"),
    ("Ovarian cyst", "ovarian cysts"),
    ("Cardiomyopathy", "cardiomyopathies"),
    ("Neurofibromatosis type 1", "Neurofibromatosis, type I"),
    ("Osteogenesis imperfecta type III", "osteogenesis imperfecta, type 3"),
    ("Tay-Sachs disease", "Tay Sachs disease"),
    ("Tay-Sachs disease", "TAY-SACHS DISEASE"),
    ("Maple syrup urine disease", "maple-syrup urine disease"),
    ("Long QT syndrome 1", "long-QT syndrome 1"),
    ("22q11.2 deletion syndrome", "22q11.2-deletion syndrome"),
    ("Ehlers-Danlos syndrome, vascular type", "Ehlers–Danlos syndrome (vascular type)"),
    ("Guillain-Barré syndrome", "Guillain-Barre syndrome"),
    ("Marfan syndrome", "It is Marfan syndrome"),
    ("Marfan syndrome", "The diagnosis is Marfan syndrome."),
    ("Marfan syndrome", "Final answer: Marfan syndrome"),
    ("Gaucher disease type I", "Gaucher’s disease, type 1"),
    ("Von Hippel-Lindau syndrome", "von Hippel–Lindau syndrome"),
    ("X-linked agammaglobulinemia", "x linked agammaglobulinaemia"),
    ("Diamond-Blackfan anemia 10", "Diamond–Blackfan anaemia 10"),
    ("Hydroxylation-deficient rickets, type 1B", "hydroxylation-deficient rickets 1B"),
    ("Mixed hypo- and hyperpigmentation", "mixed hypo– & hyperpigmentation"),
    ("Optic atrophy--spastic paraplegia", "optic atrophy spastic paraplegia"),
    ("Musty odor", "musty odour"),
    ("Gray platelet syndrome", "grey platelet syndrome"),
    ("Cafe-au-lait spot of abnormal color", "café-au-lait spots of abnormal colour"),
    ("Congenital fiber-type disproportion", "congenital fibre-type disproportion"),
]

DIFFERENT = [
    ("Charcot-Marie-Tooth disease type 1A", "Charcot-Marie-Tooth disease type 1B"),
    ("Charcot-Marie-Tooth disease type 1A", "Charcot-Marie-Tooth disease type 2A"),
    ("Charcot-Marie-Tooth disease type 1A", "Charcot-Marie-Tooth disease"),
    ("Diabetes mellitus, type 1", "Diabetes mellitus, type 2"),
    ("Neurofibromatosis type I", "Neurofibromatosis type II"),
    ("Neurofibromatosis type 1", "Neurofibromatosis type 11"),
    ("Mucopolysaccharidosis type II", "Mucopolysaccharidosis type III"),
    ("Mucopolysaccharidosis type IIIA", "Mucopolysaccharidosis type IIIB"),
    ("Hemophilia A", "Hemophilia B"),
    ("Factor V deficiency", "Factor X deficiency"),
    ("Hyperkalemia", "Hypokalemia"),
    ("Hyperthyroidism", "Hypothyroidism"),
    ("Hypertension", "Hypotension"),
    ("Hypernatremia", "Hyponatremia"),
    ("Macrocephaly", "Microcephaly"),
    ("Tachycardia", "Bradycardia"),
    ("Hypertelorism", "Hypotelorism"),
    ("Entropion", "Ectropion"),
    ("Exotropia", "Esotropia"),
    ("Dysphagia", "Dysphasia"),
    ("Arthritis", "Arteritis"),
    ("Nephritis", "Nephrosis"),
    ("Myopathy", "Myelopathy"),
    ("Cystinosis", "Cystinuria"),
    ("Galactosemia", "Galactosuria"),
    ("Polydactyly", "Oligodactyly"),
    ("Thrombocytosis", "Thrombocytopenia"),
    ("Cushing syndrome", "Cushing disease"),
    ("Beta-thalassemia", "Alpha-thalassemia"),
    ("Autosomal dominant deafness 12", "Autosomal recessive deafness 12"),
    ("Deafness, autosomal recessive 12", "Deafness, autosomal recessive 13"),
    ("Deafness, autosomal recessive 1", "Deafness, autosomal recessive 1A"),
    ("Non-Hodgkin lymphoma", "Hodgkin lymphoma"),
    ("Atypical hemolytic uremic syndrome", "Typical hemolytic uremic syndrome"),
    ("22q11.2 deletion syndrome", "22q11.2 duplication syndrome"),
    ("Trisomy 13", "Trisomy 18"),
    ("Acute myeloid leukemia", "Acute lymphoid leukemia"),
    ("Acute myeloid leukemia", "Chronic myeloid leukemia"),
    ("Central diabetes insipidus", "Nephrogenic diabetes insipidus"),
    ("Diabetes mellitus", "Diabetes insipidus"),
    ("Ureteral stenosis", "Urethral stenosis"),
    ("Left ventricular hypertrophy", "Right ventricular hypertrophy"),
    ("Familial adenomatous polyposis 1", "Familial adenomatous polyposis 2"),
    ("Von Willebrand disease type 2A", "Von Willebrand disease type 2N"),
    ("Renal dysplasia syndrome", "Retinal dysplasia syndrome"),
    ("Rett syndrome", "Tourette syndrome"),
    ("Elevated decanoylcarnitine", "Elevated decenoylcarnitine"),
    ("Liver disease", "Liver failure"),
    ("Congenital megaloureter", "Congenital megalourethra"),
    ("HER2+ breast carcinoma", "HER2- breast carcinoma"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_another_spelling_of_the_same_name_is_right(gold, answer):
    assert judge_answer(answer, [disease(gold)]).kind in ("exact", "alias")


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_another_disease_is_wrong_whether_its_name_is_known_or_not(gold, answer):
    right, other = disease(gold), disease(answer, number=2)
    assert not judge_answer(answer, [right]).right
    assert not judge_answer(answer, [right], EntityNames([right])).right
    assert judge_answer(answer, [right], EntityNames([right, other])).kind == "other_entity"


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_the_table_of_differences_holds_in_both_directions(one, other):
    right = disease(other)
    assert not judge_answer(one, [right], EntityNames([right])).right


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("KCNQ2", "KCNQ3"),
        ("SCN1A", "SCN2A"),
        ("SCN1A", "SCN1B"),
        ("CAPN1", "CAPNS1"),
        ("HLA-DRB1", "HLA-DRB5"),
        ("COL4A3", "COL3A4"),
        ("NKX2-1", "NKX21"),
        ("BRCA1", "BRCA2"),
        ("ABCDEFGHIJ", "ABCDEFGHIK"),
    ],
)
def test_a_gene_symbol_never_matches_by_nearness(gold, answer):
    right = gene(gold)
    assert not judge_answer(answer, [right], EntityNames([right])).right


@pytest.mark.parametrize(
    "answer",
    [
        "SCN1A",
        "scn1a",
        "SCN-1A",
        "gene SCN1A",
        "the SCN1A gene",
        "The gene is SCN1A.",
        "the answer is the gene SCN1A",
        "SCN1A (NAC1)",
        "Nav1.1",
        "`SCN1A`",
        "'SCN1A'",
        "SCN\u200b1A",
    ],
)
def test_a_gene_may_be_named_in_a_few_set_phrases(answer):
    assert judge_answer(answer, [SCN1A], EntityNames([SCN1A, SCN2A])).right


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, "empty"),
        ("", "empty"),
        (" \n\t", "empty"),
        ("\u200b\u200d\u2060", "empty"),
        ("...", "empty"),
        ("SCN2A", "other_entity"),
        ("SCN1A or SCN2A", "hedged"),
        ("SCN1A, SCN2A, SCN8A", "hedged"),
        ("SCN2A / SCN1A", "hedged"),
        ("SCN1A\nSCN2A", "hedged"),
        ("SCN1A (SCN2A)", "hedged"),
        ("SCN1A and also SCN2A", "hedged"),
        ("either SCN1A or something else", "hedged"),
        ("I believe that SCN1A is what causes it", "overlong"),
        ("not SCN1A", "overlong"),
        ("SCN1A " * 100, "overlong"),
        ("S C N 1 A is", "wrong"),
        ("SСN1A", "wrong"),  # Cyrillic С
        ("sodium channel", "wrong"),
        ("Which gene causes the disease?", "wrong"),
    ],
)
def test_every_way_of_not_naming_the_gene_has_its_name(answer, kind):
    assert judge_answer(answer, [SCN1A], EntityNames([SCN1A, SCN2A])).kind == kind


def test_the_preferred_name_is_exact_and_any_other_is_an_alias():
    assert judge_answer("Dravet syndrome", [DRAVET]).kind == "exact"
    assert judge_answer("SMEI", [DRAVET]).kind == "alias"


def test_any_of_several_gold_answers_will_do_and_so_will_a_list_of_nothing_else():
    gold = [SCN1A, SCN2A]
    assert judge_answer("SCN2A", gold).right
    assert judge_answer("SCN1A, SCN2A", gold).kind == "list"
    assert judge_answer("SCN1A or SCN8A", gold).kind == "hedged"


NEAR = [
    ("Pheochromocytoma", "Pheochromocitoma"),
    ("Dravet syndrome", "Dravet syndorme"),
    ("Neurofibromatosis type 1", "Neurofibramatosis type 1"),
    ("Retinitis pigmentosa 12", "Retinitis pigmentossa 12"),
    ("Takotsubo cardiomyopathy", "Tako tsubo cardiomyopathy"),
    ("Waldenstrom macroglobulinemia", "Waldenstorm macroglobulinemia"),
]


@pytest.mark.parametrize(("gold", "answer"), NEAR)
def test_a_slip_of_the_pen_is_forgiven_where_all_names_are_known(gold, answer):
    right = disease(gold)
    names = EntityNames([right, SCN1A])
    match = judge_answer(answer, [right], names)
    assert match.kind == "near"
    assert "letter" in match.reason
    assert not judge_answer(answer, [right]).right


@pytest.mark.parametrize(
    ("gold", "answer", "why"),
    [
        ("Fabry disease", "Fabri disease", "the word is short"),
        ("Retinitis pigmentosa 12", "Retinitis pigmentossa 13", "the number differs"),
        ("Pheochromocytoma", "Рheochromocytoma", "the first letter is Cyrillic"),
        ("Pheochromocytoma", "Pheochromocytomа", "the last letter is Cyrillic"),
        ("Pheochromocytoma", "Feochromocytoma", "the first letter differs"),
        ("Pheochromocytoma", "Pheokromositoma", "three letters differ"),
        ("Hyperlipidemia", "Hypolipidemia", "the prefix differs"),
        ("Glomerulonephritis", "Glomerulonephrosis", "the suffix differs"),
        ("Dravet syndrome", "Dravet", "a word is missing"),
        ("Dravet syndrome", "Dravet syndrome variant", "a word is too many"),
    ],
)
def test_a_near_miss_is_refused_where_it_may_be_another_thing(gold, answer, why):
    right = disease(gold)
    assert not judge_answer(answer, [right], EntityNames([right])).right, why


def test_a_near_miss_as_near_to_another_entity_is_that_entity():
    gold = disease("Granulomatous xanthelasma")
    other = disease("Granulomatous xanthelosma", number=2)
    answer = "Granulomatous xanthelisma"
    assert judge_answer(answer, [gold], EntityNames([gold])).kind == "near"
    assert judge_answer(answer, [gold], EntityNames([gold, other])).kind == "other_entity"


def test_a_word_that_occurs_in_another_name_is_no_slip():
    gold = disease("Familial fibrillary disorder")
    other = disease("Renal fibrillari plaque", number=2)
    answer = "Familial fibrillari disorder"
    assert judge_answer(answer, [gold], EntityNames([gold])).kind == "near"
    assert not judge_answer(answer, [gold], EntityNames([gold, other])).right


def test_an_alias_that_another_entity_of_the_kind_shares_names_neither():
    one, two = disease("Autism", "ASD"), disease("Atrial septal defect", "ASD", number=2)
    names = EntityNames([one, two])
    assert judge_answer("ASD", [one], names).kind == "other_entity"
    assert judge_answer("ASD", [one, two], names).right
    assert judge_answer("ASD", [one]).right


def test_an_alias_that_an_entity_of_another_kind_shares_still_names_the_gold():
    one = gene("FBN1", "MFS")
    assert judge_answer("MFS", [one], EntityNames([one, disease("Marfan syndrome", "MFS")])).right


def test_a_trailing_disease_is_forgiven_only_where_it_names_nobody_else():
    cushing, other = disease("Cushing"), disease("Cushing disease", number=2)
    assert judge_answer("Cushing disease", [cushing], EntityNames([cushing])).right
    assert judge_answer("Cushing disease", [cushing], EntityNames([cushing, other])).kind == (
        "other_entity"
    )
    assert not judge_answer("Cushing disease", [cushing]).right


def test_a_long_name_is_still_a_name():
    name = "Spondyloepimetaphyseal dysplasia with joint laxity, type 1, with or without fractures"
    assert judge_answer(name, [disease(name)]).kind == "exact"


@given(st.text(max_size=2 * MAX_CHARS))
def test_any_text_at_all_gets_a_verdict_and_always_the_same(text):
    names = EntityNames([SCN1A, SCN2A, DRAVET])
    first = judge_answer(text, [SCN1A], names)
    assert first == judge_answer(text, [SCN1A], names)
    assert first.reason


NAMES = sorted({name for pair in DIFFERENT for name in pair})


@given(st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_among_many_names_an_answer_is_right_for_itself_alone(gold, answer):
    entities = [disease(name, number=i) for i, name in enumerate(NAMES)]
    names = EntityNames(entities)
    verdict = judge_answer(answer, [entities[NAMES.index(gold)]], names)
    assert verdict.right == (gold == answer)


@given(
    st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), st.randoms()
)
def test_a_list_of_answers_never_pays_for_one(gold, others, random):
    listed = [gold, *others]
    random.shuffle(listed)
    if len(set(listed)) > 1:
        for joint in (", ", " or ", " / ", "; ", "\n"):
            assert not judge_answer(joint.join(listed), [disease(gold)]).right
