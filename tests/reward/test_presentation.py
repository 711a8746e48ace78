"""Right answers as language models write them, and wrong ones in the same forms."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.records import Entity
from medenv.reward import EntityNames, judge_answer
from medenv.reward.answers.presentation import MAX_LAYERS, readings

from .builder import SCN1A, SCN2A


def disease(number, name, *aliases):
    return Entity(id=f"OMIM:{number}", kind="disease", name=name, aliases=aliases)


def option(name):
    return Entity(id="O:1", kind="option", name=name)


MARFAN = disease(154700, "Marfan syndrome")
LOEYS = disease(609192, "Loeys-Dietz syndrome 1")
CMT = disease(118220, "Charcot-Marie-Tooth disease, type 1A")
DYSTROPHY = disease(253601, "Muscular dystrophy, limb-girdle, autosomal recessive 2")
GLYCINE = disease(605899, "Glycine encephalopathy")
GLYCINE_2 = disease(620398, "Glycine encephalopathy 2")
NAMES = EntityNames([MARFAN, LOEYS, CMT, DYSTROPHY, GLYCINE, GLYCINE_2, SCN1A, SCN2A])

FRAMES = [
    r"\boxed{{}}",
    r"$\boxed{\text{{}}}$",
    "So the answer is {}.",
    "Thus, the answer is {}",
    "Therefore, the final answer is: **{}**.",
    "Hence the answer is {} [1].",
    "Based on the retrieved passages, the answer is {} [1][2].",
    "I conclude that the answer is {}.",
    "**Answer:** {}",
    "## Final Answer\n\n{}",
    '{"answer": "{}"}',
    "<b>{}</b>",
    "```\n{}\n```",
    "“{}”",
    "{} [OMIM:154700#0]",
    "{} [source 3]",
    "{} 【2†source】",
    "1. {}",
    "- **{}**",
    "✅ {}",
    "It's {}!",
]


@pytest.mark.parametrize("frame", FRAMES)
def test_what_says_nothing_about_an_answer_may_stand_around_it(frame):
    for gold in (MARFAN, SCN1A):
        assert judge_answer(frame.replace("{}", gold.name), [gold], NAMES).right
        assert not judge_answer(frame.replace("{}", LOEYS.name), [gold], NAMES).right


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (SCN1A, "The causative gene is SCN1A."),
        (SCN1A, "The gene associated with Marfan syndrome is SCN1A."),
        (SCN1A, "SCN1A is the gene associated with Marfan syndrome."),
        (SCN1A, "The gene responsible is SCN1A"),
        (SCN1A, "SCN1A (NCBI Gene ID: 6323)"),
        (SCN1A, "NCBIGene:6323"),
        (SCN1A, "SCN1A, also known as NAC1"),
        (SCN1A, "SCN1A (source: [1])"),
        (MARFAN, "Final diagnosis: <b>Marfan syndrome</b>"),
        (MARFAN, "The patient has Marfan syndrome."),
        (MARFAN, "Marfan syndrome (MFS)"),
        (MARFAN, "MFS (Marfan syndrome)"),
        (MARFAN, "Marfan syndrome (MFS; OMIM:154700)"),
        (MARFAN, "Marfan syndrome, OMIM:154700"),
        (MARFAN, "(OMIM:154700)"),
        (MARFAN, "MIM #154700"),
        (CMT, "Charcot-Marie-Tooth disease type IA (CMT1A)"),
        (DYSTROPHY, "Autosomal recessive limb-girdle muscular dystrophy type 2"),
        (DYSTROPHY, "Limb-girdle muscular dystrophy, autosomal recessive 2"),
        (GLYCINE, "Glycine encephalopathy [2]"),
    ],
)
def test_a_sentence_an_id_and_an_abbreviation_name_the_gold(gold, answer):
    assert judge_answer(answer, [gold], NAMES).right


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (SCN1A, "¬SCN1A"),
        (SCN1A, "!SCN1A"),
        (SCN1A, "≠ SCN1A"),
        (SCN1A, "❌ SCN1A"),
        (SCN1A, "SCN1A ✗"),
        (SCN1A, "[ ] SCN1A"),
        (SCN1A, "~~SCN1A~~"),
        (SCN1A, "<del>SCN1A</del>"),
        (SCN1A, '<span style="text-decoration: line-through">SCN1A</span>'),
        (SCN1A, r"\sout{SCN1A}"),
        (SCN1A, r"\boxed{\neg SCN1A}"),
        (SCN1A, "S\u0336C\u0336N\u03361\u0336A\u0336"),
        (SCN1A, "SCN1A?"),
        (SCN1A, "SCN1A (?)"),
        (SCN1A, "SCN1A (-)"),
        (SCN1A, "SCN1A (probably)"),
        (SCN1A, "The answer might be SCN1A."),
        (SCN1A, "The wrong answer is SCN1A."),
        (SCN1A, "SCN1A is not the causative gene."),
        (SCN1A, r"\boxed{SCN1A} or \boxed{SCN2A}"),
        (SCN1A, r"\boxed{SCN2A} (SCN1A)"),
        (SCN1A, "SCN1A [SCN2A]"),
        (SCN1A, "The gene associated with SCN1A is SCN2A."),
        (SCN1A, "Reasoning: it is SCN2A.\nAnswer: SCN1A"),
        (MARFAN, "Marfan syndrome (LDS)"),
        (MARFAN, "Marfan syndrome (OMIM:609192)"),
        (MARFAN, "Marfan syndrome [OMIM:609192]"),
        (MARFAN, "Marfan syndrome (NOT)"),
        (MARFAN, "OMIM:609192"),
        (CMT, "Charcot-Marie-Tooth disease type 1A (CMT1B)"),
        (GLYCINE, "Glycine encephalopathy 2"),
    ],
)
def test_a_doubt_a_negation_and_a_second_name_stay_wrong(gold, answer):
    assert not judge_answer(answer, [gold], NAMES).right
    if gold != GLYCINE:
        assert not judge_answer(answer, [gold]).right


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("↓ TSH", "↑ TSH"),
        ("↓ TSH", "TSH"),
        ("A → B", "A ← B"),
        ("80", "-80"),
        ("+5", "-5"),
        ("≤ 5", "≥ 5"),
        ("> 5", "5"),
        ("≠ 5", "= 5"),
        ("± 5", "5"),
        ("2.5", "25"),
        ("2.5", "2 5"),
        (".5", "5"),
        ("10^-3", "10^3"),
        ("10³", "103"),
        ("1e-3", "1e3"),
        ("HER2+", "HER2"),
        ("increased, decreased", "decreased, increased"),
        ("5, 10", "10, 5"),
    ],
)
def test_symbols_and_the_order_of_values_carry_meaning(gold, answer):
    for one, other in ((gold, answer), (answer, gold)):
        assert not judge_answer(one, [option(other)]).right
        assert judge_answer(f"The answer is {one}.", [option(one)]).right


def test_a_list_of_directions_has_an_order_whatever_its_kind():
    gold = Entity(id="P:1", kind="phenotype", name="Increased, decreased")
    assert not judge_answer("Decreased, increased", [gold]).right
    assert judge_answer("abnormal gait, broad", [disease(1, "Broad abnormal gait")]).right


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Glycogen storage disease II", "Glycogen storage disease type II"),
        ("Glycogen storage disease II", "Glycogen storage disease 2"),
        ("Glycogen storage disease Ia", "Glycogen storage disease type 1A"),
        ("Mitochondrial complex I deficiency", "mitochondrial complex 1 deficiency"),
        ("X-linked deafness 2", "Xlinked deafness type 2"),
        ("Nonketotic hyperglycinemia", "Non-ketotic hyperglycinaemia"),
        ("Type 2 diabetes", "diabetes type II"),
        ("Localized edema", "localised oedema"),
        ("Paralyzed vocal cord", "paralysed vocal cord"),
        ("Goiter", "goitre"),
        ("Pediatric labor", "paediatric labour"),
        ("Color-blindness", "colour blindness"),
    ],
)
def test_numbering_hyphens_and_both_englishes_are_one_spelling(one, other):
    assert judge_answer(other, [disease(1, one)]).right
    assert judge_answer(one, [disease(1, other)]).right


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Trisomy X", "Trisomy 10"),
        ("Congenital disorder of glycosylation, type Ii", "CDG, type II"),
        ("Congenital disorder of glycosylation type Ii", "Congenital disorder of glycosylation 2"),
        ("Deafness 1", "Deafness I b"),
        ("Hepatitis A", "Hepatitis 1"),
    ],
)
def test_a_letter_is_no_numeral_where_it_is_a_name(one, other):
    assert not judge_answer(other, [disease(1, one)]).right


@given(st.text(max_size=300))
def test_every_text_has_readings_each_shorter_than_the_one_before(text):
    found = [reading.text for reading in readings(text, NAMES)]
    assert 1 <= len(found) <= MAX_LAYERS + 1
    assert all(len(after) < len(before) for before, after in pairwise(found))


HOSTILE = (
    *(
        "so ",
        "the answer is ",
        "x is the gene for ",
        "gene of x is ",
        "*a ",
        "_",
        "[1]",
        "(",
        "<b>",
    ),
    *("\\text{", "$", "a,", "a and ", "1. a ", "-", "é", "a", " ", "PMID:1,", "xxiv ", "~"),
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_long_answer_takes_time_in_proportion_to_its_length(piece):
    def seconds(length):
        took = []
        for number in range(3):
            text = (piece * length)[:length] + str(number)
            began = time.perf_counter()
            judge_answer(text, (MARFAN, LOEYS) * 4, NAMES, all_of=True)
            took.append(time.perf_counter() - began)
        return min(took)

    assert seconds(3000) < 40 * seconds(300) + 0.02
