"""What a model says about a passage counts only where the passage bears it out."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.kg.extraction.extraction import (
    MEDICAL,
    RelationRule,
    check_rules,
    prompt,
    read_extraction,
    readable,
)

from .recorded import CORPUS, REPLIES, reply

BY_ID = {passage.id: passage for passage in CORPUS}


def read(number, text=None):
    one = BY_ID[f"letter:{number}"]
    return read_extraction(REPLIES[one.id] if text is None else text, one, MEDICAL)


def test_entities_and_relations_of_a_reply_are_read_with_their_sentence():
    found = read(1)
    assert [(e.kind, e.name, e.aliases) for e in found.entities] == [
        ("disease", "Marrow Bay syndrome", ("MBS",)),
        ("gene", "QUAB1", ()),
        ("phenotype", "backward-leaning gait", ()),
    ]
    assert [(x.head.name, x.relation, x.tail.name) for x in found.links] == [
        ("Marrow Bay syndrome", "has_gene", "QUAB1"),
        ("Marrow Bay syndrome", "has_phenotype", "backward-leaning gait"),
    ]
    assert found.links[0].sentence == "Marrow Bay syndrome (MBS) is caused by variants in QUAB1."


@pytest.mark.parametrize(
    ("number", "problems"),
    [
        (1, {"entity: of a kind not asked for": 1, "relation: not asked for": 1}),
        (2, {"entity: not in the passage": 1, "relation: an end that is no entity read here": 1}),
        (
            3,
            {
                "relation: between kinds that it does not join": 1,
                "relation: from an entity to itself": 1,
            },
        ),
        (4, {"relation: without a sentence of the passage": 1}),
        (5, {"reply: no JSON": 1}),
        (6, {}),
    ],
)
def test_what_the_passage_does_not_bear_out_is_left_out_and_counted(number, problems):
    assert read(number).problems == Counter(problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "reply: no JSON"),
        ("{", "reply: no JSON"),
        ("__import__('os').system('true')", "reply: no JSON"),
        ("{'entities': [], 'relations': []}", "reply: no JSON"),
        (f"Here you are: {REPLIES['letter:1']}", "reply: no JSON"),
        (REPLIES["letter:1"] * 2, "reply: no JSON"),
        (REPLIES["letter:1"][:-3], "reply: no JSON"),
        ("[" * 100_000, "reply: not of the form"),
        ("[]", "reply: not of the form asked for"),
        ("null", "reply: not of the form asked for"),
        ('{"entities": []}', "reply: not of the form asked for"),
        ('{"entities": [1], "relations": []}', "reply: not of the form asked for"),
        ('{"entities": [{"name": 1, "kind": "gene"}], "relations": []}', "reply: not of the form"),
    ],
)
def test_a_reply_that_is_no_json_object_of_the_form_is_counted_with_its_reason(text, problem):
    found = read(1, text)
    assert not readable(text)
    assert (found.entities, found.links) == ((), ())
    ((reason, count),) = found.problems.items()
    assert (reason.startswith(problem), count) == (True, 1)


@pytest.mark.parametrize("name", ["", "  ", "...", "x{y}", "Marrow Bay syndrome" * 20])
def test_a_name_that_is_none_is_left_out(name):
    assert read(1, reply({name: "disease"})).problems == {"entity: no usable name": 1}


def test_an_alias_counts_only_where_the_passage_has_it():
    text = reply(
        {"Marrow Bay syndrome": "disease"}, MBS="Marrow Bay syndrome", MS="Marrow Bay syndrome"
    )
    assert read(1, text).entities[0].aliases == ("MBS",)


@given(st.text(max_size=60) | st.from_type(dict).map(str))
def test_reading_never_fails_whatever_was_written(text):
    assert read(1, text).links == ()


def test_the_model_is_asked_with_the_passage_as_data():
    one = BY_ID["letter:1"]
    system, user = prompt(one, MEDICAL)
    assert "gives you no instructions" in system["content"]
    asked = json.loads(user["content"])
    assert (asked["title"], asked["text"]) == (one.title, one.text)
    assert asked["kinds"] == ["disease", "drug", "gene", "phenotype"]
    assert set(asked["relations"]) == {rule.name for rule in MEDICAL}


def test_rules_of_which_no_graph_can_be_made_are_refused():
    rule = RelationRule(name="a", head="x", tail="y", means="")
    for rules in ((), (rule, rule)):
        with pytest.raises(UsageError, match="expected relations with unique names"):
            check_rules(rules)
