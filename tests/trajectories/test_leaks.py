"""The leak detector finds what is planted, however it is spelt, and nothing where nothing is."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.records import Parsed, Trajectory, Turn
from medenv.rollouts.driver import Rollouts
from medenv.trajectories.leaks import Leak, choice_leaks, guidance_text, leaks
from medenv.trajectories.run import Stage
from medenv.trajectories.teachers import Thinker

from ..fakes import ENTITIES, HERMES, question

NAMES = {entity.id: (entity.name, *entity.aliases) for entity in ENTITIES}
SHOWN = "[1] (P:1#0) Ectopia lentis: Reported in: Marfan syndrome."
GENE = "[1] (D:1#0) Marfan syndrome: Gene: FBN1."


def turn(thought: str, observation: str = "", query: str = "ectopia lentis") -> Turn:
    text = HERMES.write_call("search", {"query": query}, thought)
    return Turn(text=text, parsed=HERMES.parse(text), observation=observation)


def answer(thought: str, name: str = "FBN1") -> Turn:
    text = HERMES.write_answer(name, thought)
    return Turn(text=text, parsed=HERMES.parse(text))


def episode(*turns: Turn) -> Trajectory:
    return Trajectory(question=question(), turns=turns, ending="answered", answer="FBN1")


CLEAN = (
    turn("Which disease has ectopia lentis?", SHOWN),
    turn("Marfan syndrome it is.", GENE, "Marfan syndrome"),
    answer("So the gene is FBN1."),
)


def planted(thought: str, at: int = 0) -> Trajectory:
    """The clean episode with a thought changed."""
    turns = list(CLEAN)
    if at == 2:
        turns[2] = answer(thought)
    else:
        turns[at] = turn(thought, turns[at].observation, turns[at].parsed.calls[0][1]["query"])
    return episode(*turns)


def test_an_episode_that_says_only_what_it_saw_has_no_leak() -> None:
    assert leaks(episode(*CLEAN), NAMES) == []


@pytest.mark.parametrize(
    "thought",
    [
        "I think of Marfan syndrome.",
        "perhaps MARFAN  SYNDROME?",
        "Marfan-syndrome comes to mind",
        "Marfan\nsyndrome",
        "Márfan syndrome",
        "Ma\u0301rfan syndrome",
        "Mar\u200bfan syndrome",
        "Ｍａｒｆａｎ syndrome",
        "It could be (Marfan syndrome).",
        "“Marfan syndrome”",
        "the entry D:1#0",
    ],
)
def test_a_gold_entity_before_it_was_seen_is_found_however_it_is_spelt(thought: str) -> None:
    (found,) = leaks(planted(thought), NAMES)
    assert (found.kind, found.turn) == ("entity", 0)


@pytest.mark.parametrize("thought", ["FBN1 may be behind it.", "the gene FBN"])
def test_symbols_and_aliases_count(thought: str) -> None:
    assert [leak.kind for leak in leaks(planted(thought, at=1), NAMES)] == ["entity"]


def test_a_symbol_in_small_letters_is_another_word() -> None:
    assert leaks(planted("a word such as fbn1", at=1), NAMES) == []


def test_a_query_and_an_answer_leak_as_a_thought_does() -> None:
    early = turn("Let me see.", SHOWN, "Marfan syndrome gene")
    assert leaks(episode(early, *CLEAN[1:]), NAMES) == [Leak("entity", 0, "Marfan syndrome")]
    guessed = episode(CLEAN[0], answer("I am sure."))
    assert leaks(guessed, NAMES) == [Leak("entity", 1, "FBN1")]


def test_a_name_hidden_in_an_escaped_argument_is_found() -> None:
    escaped = (
        '<tool_call>{"name":"search","arguments":{"query":"\\u004darfan\\nsyndrome"}}</tool_call>'
    )
    hidden = Turn(text=escaped, parsed=HERMES.parse(escaped), observation=SHOWN)
    assert leaks(episode(hidden, *CLEAN[1:]), NAMES)[0].found == "Marfan syndrome"


def test_what_stands_in_the_question_may_be_said_at_once() -> None:
    assert leaks(planted("Ectopia lentis is a finding (P:1#0 is not known yet)."), {}) != []
    assert leaks(planted("Ectopia lentis is a finding."), NAMES) == []


def test_seeing_a_longer_name_is_not_seeing_the_name_but_the_other_way_round_it_is() -> None:
    shown = "[1] (P:1#0) Ectopia lentis: Reported in: Marfan syndromes."
    turns = (turn("Which?", shown), *CLEAN[1:])
    assert [leak.turn for leak in leaks(episode(*turns), NAMES)] == [1]


@pytest.mark.parametrize(
    ("kind", "thought"),
    [
        ("mask", "From ([MASK], somehow, [MASK]) I go on."),
        ("mask", "the [mask] entity"),
        ("mask", "<MASK>"),
        ("mask", "{masked_entity}"),
        ("placeholder", "Entity_A is linked to it."),
        ("placeholder", "so Target_Entity"),
        ("placeholder", "attribute_1 holds"),
        ("relation", "I follow phenotype_of now."),
        ("relation", "then has_gene"),
        ("guidance", "As the masked path says,"),
        ("guidance", "The guidance tells me to search."),
        ("guidance", "According to the hint, yes."),
        ("guidance", "my cheat sheet"),
    ],
)
def test_the_guidance_itself_is_found(kind: str, thought: str) -> None:
    (found,) = leaks(planted(thought), NAMES)
    assert (found.kind, found.turn) == (kind, 0)


@pytest.mark.parametrize(
    "thought",
    [
        "The patient has a mask-like face and masked hypertension.",
        "Guidelines and a phenotype of that kind.",
        "It has gene variants.",
        "This path leads nowhere.",
    ],
)
def test_ordinary_words_are_no_guidance(thought: str) -> None:
    assert leaks(planted(thought), NAMES) == []


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_around_a_planted_name_hides_it(before: str, after: str) -> None:
    before = before.encode("utf-8", "replace").decode()
    after = after.encode("utf-8", "replace").decode()
    told = f"{before} Marfan syndrome {after}"
    first = Turn(text=told, parsed=Parsed(thought=told), observation="")
    assert Leak("entity", 0, "Marfan syndrome") in leaks(episode(first), NAMES)


@given(st.text(max_size=200))
def test_any_text_can_be_judged(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    leaks(episode(Turn(text=clean, parsed=HERMES.parse(clean))), NAMES)


def test_the_guidance_names_relations_and_no_entity() -> None:
    told = guidance_text(question())
    assert told == "([MASK], phenotype_of, [MASK])\n([MASK], has_gene, [MASK])"
    own = msgspec.structs.replace(question(), guidance=("([MASK], x, [MASK])",))
    assert guidance_text(own) == "([MASK], x, [MASK])"


def test_a_choice_that_nothing_shown_justifies_is_a_leak(stage: Stage) -> None:
    parts, guessed = stage.parts, 0
    teacher = Thinker(stage.graph, parts.rules.dialect, parts.toolbox.tools, seed=3)
    rollouts = Rollouts(parts.rules, parts.toolbox, parts.reward)
    for i, asked in enumerate(parts.questions):
        clues = {hop.head for hop in asked.proof.clues}
        scored = rollouts.run(teacher.begin(asked, i), asked, i)
        chosen = clues & {hop.tail for hop in asked.path}
        if asked.proof.query[0] != "chain" or not chosen or scored.score.total < 1.0:
            continue
        trajectory = scored.trajectory
        assert choice_leaks(trajectory, stage.names) == []
        # The same words after observations that show no clue: each choice is a guess.
        blind = [msgspec.structs.replace(one, observation="Nothing.") for one in trajectory.turns]
        guess = msgspec.structs.replace(trajectory, turns=tuple(blind))
        found = choice_leaks(guess, stage.names)
        assert {leak.kind for leak in found} == {"choice"}
        assert {leak.found for leak in found} <= {stage.names[one][0] for one in clues}
        guessed += 1
    assert guessed >= 3
