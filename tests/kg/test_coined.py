"""Invented words, and the one name that each entity bears in a renamed world."""

import re
from itertools import product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from medenv.kg import toy_graph, toy_questions
from medenv.kg.worlds.pseudonyms import TOKEN, Pseudonymizer
from medenv.kg.worlds.worlds import WorldSettings, make_world


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.text("AaBb12 -(),.X", min_size=1, max_size=12), min_size=1, max_size=8),
    seed=st.integers(0, 50),
)
@example(names=["A", "a"], seed=0)
@example(names=["OF", "oF", "of it"], seed=0)
def test_coined_names_are_new_and_differ_where_the_names_did(names: list[str], seed: int) -> None:
    coiner = Pseudonymizer(names, seed)
    coined = {name: coiner.name(name) for name in names if TOKEN.search(name)}
    folded = {name.casefold() for name in names}
    assert not {new.casefold() for new in coined.values()} & folded
    for (one, new), (other, newer) in product(coined.items(), repeat=2):
        assert (one.casefold() == other.casefold()) == (new.casefold() == newer.casefold())


def test_a_coined_name_keeps_grammar_numbers_and_case() -> None:
    coiner = Pseudonymizer(["Absence of the LEFT thumb, type 2A", "Thumb", "FBN1"], 0)
    first = coiner.name("Absence of the LEFT thumb, type 2A")
    assert re.fullmatch(r"[A-Z][a-z]+ of the [A-Z]+ [a-z]+, [a-z]+ \d[A-Z]", first)
    assert coiner.name("Thumb").lower() == first.split(",")[0].split()[-1]
    assert re.fullmatch(r"[A-Z]{3}\d", coiner.name("FBN1"))


def test_one_entity_bears_one_invented_name_in_graph_passages_questions_and_answers() -> None:
    before = (*toy_questions().train, *toy_questions().test)
    world = make_world(toy_graph(), before, WorldSettings(variant="renamed"))
    old, new = toy_graph(), world.graph
    for question, true in zip(world.questions, before, strict=True):
        topic = old.number(true.topic.id)
        assert question.topic == new.entity(topic)
        assert question.topic.name in question.text
        assert question.answers == tuple(new.entity(old.number(a.id)) for a in true.answers)
        assert len(question.answers[0].aliases) == len(true.answers[0].aliases)
        swapped = true.text.replace(true.topic.name, question.topic.name)
        assert question.text == swapped
    titles = {passage.entity: passage.title for passage in world.documents.passages}
    assert all(new.nodes.names[new.number(entity)] == name for entity, name in titles.items())
