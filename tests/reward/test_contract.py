"""What every component and every preset must keep, whatever it measures."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.records import Trajectory
from medenv.reward import COMPONENTS, PRESETS, EntityNames, Knowledge, compose
from medenv.reward.composition import measured

from .builder import DRAVET, SCN1A, SCN2A, answering, episode, malformed, question, search

NAMES = EntityNames([SCN1A, SCN2A, DRAVET])
KNOWLEDGE = Knowledge(names=NAMES)

turns = st.lists(
    st.one_of(
        st.builds(
            search,
            st.sampled_from(["scn1a", "dravet gene", "dravet genes", "nav1.1", ""]),
            status=st.sampled_from(["ok", "empty", "bad_call", "unavailable"]),
            problems=st.sampled_from([(), ("only one call is read",)]),
            passages=st.sampled_from([(), ("OMIM:607208#0",), ("UniProt:P35498#0", "OMIM:1#0")]),
        ),
        st.just(malformed()),
    ),
    max_size=12,
)
TOLD = st.sampled_from(
    ["<answer>SCN1A</answer>", "SCN1A", "[OMIM:607208#0]", "<confidence>1</confidence>"]
)
answers = st.sampled_from(
    ["SCN1A", "the SCN1A gene", "SCN2A", "SCN1A or SCN2A", "", " ", "nothing", "SСN1A"]
)
episodes = st.one_of(
    st.builds(
        lambda before, answer, marks, needed: episode(
            *before, answering(answer, before=marks), asked=question(min_calls=needed)
        ),
        turns,
        answers,
        st.sampled_from(["", "[OMIM:607208#0]", "[1]", "<confidence>0.2</confidence>"]),
        st.integers(0, 6),
    ),
    st.builds(lambda before: episode(*before), turns),
)


def research() -> Trajectory:
    """The model episode: each call shows a hop, the answer is right, cited and sure."""
    return episode(
        search("dravet syndrome gene", passages=["OMIM:607208#1"]),
        search("sodium channel", passages=["UniProt:P35498#0", "OMIM:1#0"]),
        answering(
            SCN1A.name,
            before="[OMIM:607208#1, UniProt:P35498#0] <confidence>100%</confidence> ",
        ),
    )


def retold(trajectory: Trajectory, text: str) -> Trajectory:
    """The same episode, in which every tool and observation said `text`."""
    turns = [
        msgspec.structs.replace(
            turn,
            observation=text,
            results=tuple(msgspec.structs.replace(one, text=text) for one in turn.results),
        )
        for turn in trajectory.turns
    ]
    return msgspec.structs.replace(trajectory, turns=tuple(turns))


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_model_episode_gets_full_marks(name):
    one = COMPONENTS[name]
    assert measured(one, research(), KNOWLEDGE).raw == one.high


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize("ending", ["turns", "calls", "tokens", "seconds"])
def test_silence_gets_nothing(name, ending):
    for silent in (episode(ending=ending), episode(search("dravet"), ending=ending)):
        assert measured(COMPONENTS[name], silent, KNOWLEDGE).raw == 0


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_says_what_it_is_for_and_how_it_is_abused(name):
    one = COMPONENTS[name]
    assert one.name == name
    assert one.low < one.high
    assert one.rationale.endswith(".")
    assert one.exploit.endswith(".")
    assert "Known exploit:" in (one.measure.__doc__ or "")


@pytest.mark.parametrize("name", COMPONENTS)
@given(trajectory=episodes)
def test_a_value_has_a_reason_stays_in_range_and_never_changes(name, trajectory):
    one = COMPONENTS[name]
    before = msgspec.json.encode(trajectory)
    value = measured(one, trajectory, KNOWLEDGE)
    assert one.low <= value.raw <= one.high
    assert value.reason
    assert measured(one, trajectory, KNOWLEDGE) == value
    assert msgspec.json.encode(trajectory) == before


@pytest.mark.parametrize("name", COMPONENTS)
@given(trajectory=episodes, text=TOLD)
def test_nothing_that_a_tool_says_changes_a_value(name, trajectory, text):
    one = COMPONENTS[name]
    told = measured(one, retold(trajectory, text), KNOWLEDGE)
    assert told == measured(one, trajectory, KNOWLEDGE)


@pytest.mark.parametrize("preset", PRESETS)
@given(trajectory=episodes, text=TOLD)
def test_nothing_that_a_tool_says_changes_a_score(preset, trajectory, text):
    score = compose(preset, NAMES)
    assert score(retold(trajectory, text)) == score(trajectory)


@pytest.mark.parametrize("preset", PRESETS)
@given(one=episodes, other=episodes)
def test_a_wrong_answer_never_outranks_a_right_one(preset, one, other):
    score = compose(preset, NAMES)
    accuracy = COMPONENTS["accuracy"].measure
    first, second = score(one), score(other)
    if accuracy(one, KNOWLEDGE).raw == 1 > accuracy(other, KNOWLEDGE).raw:
        assert first.total > second.total
    if accuracy(other, KNOWLEDGE).raw == 1 > accuracy(one, KNOWLEDGE).raw:
        assert second.total > first.total


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_pays_the_model_episode_most_and_silence_nothing(preset):
    score = compose(preset, NAMES)
    assert score(research()).total == pytest.approx(sum(PRESETS[preset].weights.values()))
    assert score(episode()).total == 0
    assert PRESETS[preset].margin() > 0
    assert PRESETS[preset].rationale


@pytest.mark.parametrize("preset", PRESETS)
@given(trajectory=episodes)
def test_a_total_is_the_sum_of_its_parts_and_each_part_adds_up(preset, trajectory):
    score = compose(preset, NAMES)(trajectory)
    assert score.total == pytest.approx(sum(part.weighted for part in score.parts.values()))
    for part in score.parts.values():
        assert part.weighted == (0 if part.gated else part.raw * part.weight)
        assert part.reason
