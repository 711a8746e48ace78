"""Numbers with units: equal where they say exactly the same, and not where they nearly do."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.records import Entity
from medenv.reward import EntityNames, judge_answer
from medenv.reward.answers.quantities import MAX_CHARS, quantity

NAMES = EntityNames([Entity(id="G:1", kind="gene", name="SCN1A")])


def value(name, *aliases):
    return Entity(id=f"value:{name}", kind="value", name=name, aliases=aliases)


SAME = [
    ("5 %", "0.05"),
    ("5%", "5 percent"),
    ("5%", "5.0 %"),
    ("5%", "1 in 20"),
    ("5%", "50‰"),
    ("3/4", "75%"),
    ("3/4", "3 of 4"),
    ("3/4", "3 out of 4 patients"),
    ("3/4", "The answer is 75 %."),
    ("3/4", "3/4 (75 %)"),
    ("1-9 / 100 000", "1–9/100,000"),
    ("1-9 / 100 000", "1 to 9 in 100,000 people"),
    ("1-9 / 100 000", "0.001-0.009 %"),
    ("<1 / 1 000 000", "less than 1 in 1,000,000"),
    ("<1 / 1 000 000", "< 1e-6"),
    ("<1 / 1 000 000", "below 1 x 10^-6"),
    (">1 / 1000", "more than 0.1%"),
    ("30-40%", "30% to 40%"),
    ("30-40%", "between 30 and 40 percent"),
    ("80%-99%", "80-99 %"),
    ("1200", "1,200"),
    ("1200", "1 200"),
    ("12 weeks", "84 days"),
    ("2 years", "24 months"),
    ("2 years", "2 years of age"),
    ("36 hours", "1.5 days"),
    ("2.5 mg/dL", "25 mg/L"),
    ("2.5 mg/dL", "0.025 g per litre"),
    ("5 mg/kg/day", "0.005 g/kg/day"),
    ("5 µg", "5 mcg"),
    ("37.5 °C", "37.5 °C"),
    ("-2", "−2.0"),
]
CLOSE = [
    ("5 %", "5"),
    ("5 %", "0.5 %"),
    ("5 %", "0.5"),
    ("5 %", "about 5 %"),
    ("5 %", "5 % or 6 %"),
    ("5 %", "<5 %"),
    ("5 %", "5-6 %"),
    ("5 %", "5 mg"),
    ("1", "100 %"),
    ("100 %", "1"),
    ("3/4", "3-4"),
    ("3/4", "3 4"),
    ("3/4", "3,4"),
    ("3/4", "3.4"),
    ("3/4", "4/3"),
    ("3/4", "3"),
    ("3/4", "34"),
    ("3/4", "3/4/5"),
    ("3/4", "3/4 (70 %)"),
    ("3/4", "2/4 (75 %)"),
    ("2.5", "25"),
    ("2.5", "2 5"),
    ("2.5", "2/5"),
    ("2.5", "2,5"),
    ("102", "10²"),
    ("12", "1\u200b2"),
    ("12", "１２"),
    ("12", "-12"),
    ("-12", "12"),
    ("3", "3 or 4"),
    ("3", "3, 4"),
    ("3", "3 and 4"),
    ("3", "3-4"),
    ("3", "at least 3"),
    ("3", "more than 2"),
    ("1-9 / 100 000", "1-9 / 10 000"),
    ("1-9 / 100 000", "1-9 / 1 000 000"),
    ("1-9 / 100 000", "5 / 100 000"),
    ("1-9 / 100 000", "1-9"),
    ("<1 / 1 000 000", "1 / 1 000 000"),
    ("<1 / 1 000 000", "at most 1 / 1 000 000"),
    ("<1 / 1 000 000", ">1 / 1 000 000"),
    ("30-40%", "35%"),
    ("30-40%", "40-30%"),
    ("30-40%", "30-40"),
    ("12 weeks", "3 months"),
    ("1 year", "365 days"),
    ("12 weeks", "12 months"),
    ("12 weeks", "12"),
    ("2.5 mg/dL", "2.5 g/dL"),
    ("2.5 mg/dL", "2.5 mg"),
    ("2.5 mg/dL", "2.5 mmol/L"),
    ("5 mg/kg", "0.000005"),
    ("5 mm", "5 mM"),
    ("5 IU", "5 U"),
]


@pytest.mark.parametrize(("gold", "answer"), [*SAME, *((b, a) for a, b in SAME if "(" not in b)])
def test_the_same_quantity_in_other_words_is_right(gold, answer):
    match = judge_answer(answer, (value(gold),), NAMES)
    assert match.right, match


@pytest.mark.parametrize(("gold", "answer"), CLOSE)
def test_a_quantity_that_is_nearly_the_same_is_wrong(gold, answer):
    match = judge_answer(answer, (value(gold),), NAMES)
    assert not match.right, match


@pytest.mark.parametrize(
    ("answer", "right"),
    [("two", True), ("Two.", True), ("2", True), ("67%", True), ("0.67", True), ("68%", False)],
)
def test_names_that_are_no_quantities_count_beside_those_that_are(answer, right):
    assert judge_answer(answer, (value("2", "two", "67%"),), NAMES).right == right


def test_a_class_of_frequency_is_its_name_and_its_range_but_nothing_within():
    frequent = value("frequent", "30%-79%")
    assert judge_answer("frequent", (frequent,), NAMES).right
    assert judge_answer("30-79 %", (frequent,), NAMES).right
    assert not judge_answer("very frequent", (frequent,), NAMES).right
    assert not judge_answer("50 %", (frequent,), NAMES).right


FRAMED = [
    ("2", "**2**"),
    ("2", "`2`"),
    ("2", '"2"'),
    ("2", r"\boxed{2}"),
    ("2", "2 diseases"),
    ("2", "two (2)"),
    ("2", "2 (two)"),
    ("2", "There are two distinct diseases."),
    ("2", "So the answer is **2** [1]."),
    ("2", "2 in total"),
    ("21", "twenty-one"),
    ("1200", "a total of 1,200 findings"),
    ("2/3", "67%"),
    ("2/3", "66.7%"),
    ("2/3", "66.67 %"),
    ("2/3", "0.667"),
    ("2/3", "2/3 (≈ 67%)"),
    ("2/3", "two out of three patients"),
    ("2/3", r"\frac{2}{3}"),
    ("1/2", "½"),
    ("66.7%", "2/3"),
    ("66.7%", "66.67%"),
    ("3/4", "75 per cent of patients"),
    ("3/4", "In 3 of 4 patients (75%)"),
    ("0.001", "10⁻³"),
    ("0.001", "10^{-3}"),
]


@pytest.mark.parametrize(("gold", "answer"), FRAMED)
def test_a_number_may_be_framed_counted_worded_and_rounded(gold, answer):
    assert judge_answer(answer, (value(gold),), NAMES).right


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("2", "3 diseases"),
        ("2", "two (3)"),
        ("2", "2.4"),
        ("2", "2?"),
        ("2", "~~2~~"),
        ("2", "about two diseases"),
        ("2", "2 or three diseases"),
        ("2", "at least 2 diseases"),
        ("2", "2 mg"),
        ("2/3", "66.8%"),
        ("2/3", "66%"),
        ("2/3", "67.0%"),
        ("2/3", "70%"),
        ("2/3", "2/3 (≈ 70%)"),
        ("2/3", "≈ 67%"),
        ("299/300", "100%"),
        ("1/300", "0%"),
        ("66.7%", "66.8%"),
        ("66.7%", "67%"),
        ("5%", "5.4%"),
        ("0.001", "10³"),
        ("103", "10³"),
    ],
)
def test_a_number_that_rounding_does_not_explain_is_wrong(gold, answer):
    assert not judge_answer(answer, (value(gold),), NAMES).right


def test_of_an_exact_share_a_percentage_is_right_as_far_as_it_goes():
    share = value("157/183", "86%", "85.8%")
    right = [
        said for said in ("86%", "85.8%", "85.79%", "86.0%") if judge_answer(said, [share]).right
    ]
    assert right == ["86%", "85.8%", "85.79%"]


def test_a_wrong_quantity_says_so():
    assert judge_answer("4 %", (value("5 %"),)).reason == "is another quantity"
    assert judge_answer("5 %", (value("5 %"),)).kind == "exact"


def test_names_with_numbers_in_them_stay_names():
    spinocerebellar = Entity(id="D:1", kind="disease", name="3", aliases=("SCA 3",))
    assert judge_answer("3", (spinocerebellar,), NAMES).right
    assert not judge_answer("3.0", (spinocerebellar,), NAMES).right


numbers = st.fractions(0, 10_000, max_denominator=1000).map(lambda f: round(f, 3))
units = st.sampled_from(["", "%", " mg", " days", " weeks", " months", " / 100 000", " mg/dL"])
SIZES = {"": 1, "%": Fraction(1, 100), " mg": 1, " days": 1, " weeks": 7, " months": 1}


def written(number):
    return f"{float(number):.3f}".rstrip("0").rstrip(".")


@given(first=numbers, second=numbers, unit=units)
def test_two_numbers_of_one_unit_are_equal_where_they_are_equal(first, second, unit):
    one, other = quantity(f"{written(first)}{unit}"), quantity(f"{written(second)}{unit}")
    assert (one == other) == (first == second) or one is None or other is None
    assert one is not None or unit == " / 100 000"


@given(number=numbers, one=units, other=units)
def test_two_units_are_equal_only_where_their_sizes_are(number, one, other):
    kinds = {" days": "time", " weeks": "time", " months": "months", " mg": "mass", "%": "share"}
    first, second = quantity(f"{written(number)}{one}"), quantity(f"{written(number)}{other}")
    if first is not None and first == second and number:
        assert SIZES.get(one, one) == SIZES.get(other, other)
        assert kinds.get(one, one) == kinds.get(other, other)


@given(text=st.text(max_size=MAX_CHARS + 5))
def test_any_text_is_a_quantity_or_none(text):
    found = quantity(text)
    assert found is None or found.low is not None or found.high is not None


def test_a_hostile_text_takes_no_longer_than_it_should():
    hostile = ["1 " * 40, "1,000" * 16, "mg/" * 26, "1" + " per kg" * 11, "1-" * 40, "1 to " * 16]
    began = time.perf_counter()
    for text in hostile:
        quantity(text[:MAX_CHARS])
    assert time.perf_counter() - began < 0.5
