"""What goes into the laboratory: rollouts that are whole, and a line on those that are not."""

import math

import msgspec
import pytest

from medenv.ablation.offline import RolloutStore, ablate
from medenv.errors import (
    DataError,
    JudgeUnavailableError,
    NoCertificateError,
    UnknownNameError,
    UsageError,
)
from medenv.records import Certificate, Scored
from medenv.reward import COMPONENTS, Component, ComponentScore, compose
from medenv.reward.analysis.variants import preset_arm, read_arm

from ..reward.builder import answering, episode, question, search
from .rollouts import COMPOSITE, KNOWLEDGE, ROLLOUTS, bank_of, group, rollout


def test_a_file_cut_in_half_is_named_with_its_line(stored):
    whole = stored.read_bytes()
    stored.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"rollouts\.jsonl:\d+: expected a Scored: Input data was"):
        RolloutStore(KNOWLEDGE).read(stored)


def test_what_needs_certificates_is_not_measured_without_and_then_not_paid():
    asked = msgspec.structs.replace(question(), certificate=None, topic=None)
    made = [episode(answering(name), asked=asked) for name in ("SCN1A", "SCN2A")]
    bank = bank_of([Scored(trajectory=one, score=compose("composite")(one)) for one in made])
    result = ablate(bank, [COMPOSITE], draws=10)
    assert "evidence_recall" not in result.raws
    assert result.raws["accuracy"].mean == 0.5
    with pytest.raises(NoCertificateError) as told:
        ablate(bank, [preset_arm("evidence")], draws=10)
    assert told.value.question == asked.id


def test_an_episode_that_cannot_be_scored_is_named_with_its_file(stored):
    rows = [msgspec.json.decode(line) for line in stored.read_bytes().splitlines()]
    rows[1]["trajectory"]["answer"] = "what a tool said"
    stored.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    with pytest.raises(DataError, match=r"rollouts\.jsonl: episode 2: the trajectory of .* claims"):
        RolloutStore(KNOWLEDGE).read(stored)


def test_a_certificate_that_proves_nothing_earns_no_evidence_and_breaks_nothing():
    empty = Certificate(query=[], answers=(), path=(), min_hops=0, min_calls=0, chance=0.0)
    asked = msgspec.structs.replace(question(), certificate=empty)
    made = [episode(answering(name), asked=asked) for name in ("SCN1A", "SCN2A")]
    rollouts = [Scored(trajectory=one, score=compose("evidence")(one)) for one in made]
    result = ablate(bank_of(rollouts), [preset_arm("evidence")], draws=10)
    assert result.raws["evidence_recall"].mean == 0


def test_a_bank_of_nothing_says_so(tmp_path):
    path = tmp_path / "none.jsonl"
    path.write_text("\n")
    bank = RolloutStore(KNOWLEDGE)
    bank.read(path)
    with pytest.raises(UsageError, match=r"at least one rollout that can be scored in \S+none\.js"):
        ablate(bank, [COMPOSITE])
    failed = bank_of([rollout(0, 0, search("x"), ending="unavailable")])
    with pytest.raises(UsageError, match=r"got none, only 1 infrastructure failures"):
        ablate(failed, [COMPOSITE])


def test_a_file_given_twice_is_refused(stored):
    bank = RolloutStore(KNOWLEDGE)
    bank.read(stored)
    with pytest.raises(UsageError, match=r"twice"):
        bank.read(stored)


def test_the_same_question_in_two_files_makes_two_groups(stored, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_bytes(stored.read_bytes())
    bank = RolloutStore(KNOWLEDGE)
    bank.read(stored)
    bank.read(other)
    assert ablate(bank, [COMPOSITE], draws=10).groups == 10


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 2.0])
def test_a_component_without_a_number_or_out_of_range_is_named(value):
    odd = Component(
        name="odd",
        measure=lambda *_: ComponentScore(value, "so"),
        rationale="Odd.",
        exploit="None.",
    )
    bank = RolloutStore(KNOWLEDGE, {**COMPONENTS, "odd": odd})
    with pytest.raises(UsageError, match=r"component 'odd' gave \S+ for question 'train:0'; expec"):
        bank.add(ROLLOUTS[0])


def test_a_verdict_that_does_not_come_is_no_verdict_of_zero():
    def judged(trajectory, _):
        if trajectory.answer == "SCN2A":
            raise JudgeUnavailableError("the judge is away")
        return ComponentScore(1.0, "meets the rubric")

    judge = Component(name="rubric", measure=judged, rationale="A judge.", exploit="Flattery.")
    bank = RolloutStore(KNOWLEDGE, {**COMPONENTS, "rubric": judge})
    for one in group(0, [1, 0, 1, 0]):
        bank.add(one)
    result = ablate(bank, [read_arm("judged:accuracy=1,rubric=0.2")], draws=10)
    assert (result.episodes, result.unscored) == (2, 2)
    assert result.raws["rubric"].mean == 1
    assert result.raws["rubric"].n == 2
    assert result.arms[0].reward.mean == pytest.approx(1.2)


def test_a_running_episode_is_refused():
    with pytest.raises(UsageError, match=r"question 'train:0' has not ended"):
        bank_of([msgspec.structs.replace(ROLLOUTS[0], trajectory=episode(ending=None))])


def test_a_typo_in_an_arm_is_an_error():
    with pytest.raises(UnknownNameError, match=r"in arm 'mine' 'acuracy'; did you mean 'accuracy'"):
        ablate(bank_of(ROLLOUTS), [read_arm("mine:acuracy=1")])
