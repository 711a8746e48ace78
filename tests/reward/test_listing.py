"""Lists as people write them, of names that have commas and "and" in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.records import Entity
from medenv.reward import EntityNames, judge_answer
from medenv.reward.answers.equivalence import MAX_LISTED, read_list

GOLD = tuple(
    Entity(id=f"D:{number}", kind="disease", name=name)
    for number, name in enumerate(
        (
            "Deafness, autosomal recessive 12",
            "Ataxia and deafness",
            "Muscular dystrophy, limb-girdle, autosomal recessive 2",
            "Leukoencephalopathy (CARASIL)",
        )
    )
)
OTHER = Entity(id="D:9", kind="disease", name="Spastic paraplegia, ataxia, and mental retardation")
NAMES = EntityNames([*GOLD, OTHER])
TEXTS = [entity.name for entity in GOLD]

WRITINGS = {
    "numbered": lambda items: "\n".join(f"{i}. {one}" for i, one in enumerate(items, 1)),
    "numbered with brackets": lambda items: "\n".join(
        f"({i}) {one}" for i, one in enumerate(items, 1)
    ),
    "numbered in one line": lambda items: " ".join(f"{i}) {one}" for i, one in enumerate(items, 1)),
    "bulleted": lambda items: "\n".join(f"- {one}" for one in items),
    "bulleted in bold": lambda items: "\n".join(f"* **{one}**" for one in items),
    "one per line": "\n".join,
    "semicolons": "; ".join,
    "commas": ", ".join,
    "and": lambda items: f"{', '.join(items[:-1])} and {items[-1]}",
    "an Oxford comma": lambda items: f"{', '.join(items[:-1])}, and {items[-1]}",
    "a sentence": lambda items: f"The diseases are {', '.join(items[:-1])} and {items[-1]}.",
    "a label": lambda items: "The four diseases are:\n" + "\n".join(f"• {one}" for one in items),
    "ids and citations": lambda items: "\n".join(
        f"{i}. {one} ({GOLD[TEXTS.index(one)].id if one in TEXTS else 'x'}) [{i}]"
        for i, one in enumerate(items, 1)
    ),
}


@pytest.mark.parametrize("write", WRITINGS.values(), ids=WRITINGS)
@given(order=st.permutations(TEXTS))
def test_every_way_to_write_a_whole_list_is_right_in_any_order(write, order):
    for names in (NAMES, None):
        assert judge_answer(write(order), GOLD, names, all_of=True).kind == "list"


@pytest.mark.parametrize("write", WRITINGS.values(), ids=WRITINGS)
@given(order=st.permutations(TEXTS), left=st.integers(1, 3))
def test_a_list_that_lacks_something_is_incomplete(write, order, left):
    items = order[:left] if left > 1 else [order[0], order[0]]
    found = judge_answer(write(items), GOLD, NAMES, all_of=True)
    assert found.kind == "incomplete"
    assert read_list(write(items), GOLD, NAMES).found == len(set(items))


@pytest.mark.parametrize("write", WRITINGS.values(), ids=WRITINGS)
@given(order=st.permutations([*TEXTS, OTHER.name]))
def test_a_list_with_one_too_many_is_wrong_and_another_name_counts_once(write, order):
    listed = read_list(write(order), GOLD, NAMES)
    assert sorted(listed.named) == ["", *sorted(entity.id for entity in GOLD)]
    assert listed.f1(len(GOLD)) == pytest.approx(2 * 4 / (5 + 4))
    assert not judge_answer(write(order), GOLD, NAMES, all_of=True).right


def test_alternatives_are_no_list_of_all():
    assert not judge_answer(" or ".join(TEXTS), GOLD, NAMES, all_of=True).right
    assert read_list(" or ".join(TEXTS), GOLD, NAMES).alternatives


def test_a_list_far_too_long_is_not_read():
    long = "; ".join(f"Disease {number}" for number in range(MAX_LISTED * len(GOLD) + 1))
    assert read_list(long, GOLD, NAMES).named == ()
    assert read_list("x, " * 100_000, GOLD, NAMES).named == ()


def test_one_of_the_gold_answers_is_right_only_where_any_will_do():
    assert judge_answer(TEXTS[0], GOLD, NAMES).right
    assert judge_answer(TEXTS[0], GOLD, NAMES, all_of=True).kind == "incomplete"
    assert judge_answer(TEXTS[0], GOLD[:1], NAMES, all_of=True).right
