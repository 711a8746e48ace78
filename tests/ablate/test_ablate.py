"""Stored rollouts under other rewards: figures recomputed by hand and by verl, faults named."""

import math
import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from medenv import cli_rewards
from medenv.ablate import Bank, ablate
from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.jsonl import write_records
from medenv.records import Certificate, Scored
from medenv.report.ablation import tables, verdict, write_ablation
from medenv.reward import COMPONENTS, PRESETS, Component, EntityNames, Knowledge, Value, compose
from medenv.reward.arms import leave_one_out, preset_arm, read_arm, ungated

from ..reward.builder import (
    DRAVET,
    SCN1A,
    SCN2A,
    answering,
    episode,
    malformed,
    question,
    search,
)

KNOWLEDGE = Knowledge(names=EntityNames([SCN1A, SCN2A, DRAVET]))
COMPOSITE = preset_arm("composite")
ARMS = [preset_arm("answer_only"), COMPOSITE, ungated(COMPOSITE), *leave_one_out(COMPOSITE)]


def rollout(number, sample, *turns, step=0, ending="turns"):
    asked = msgspec.structs.replace(question(), id=f"train:{number}")
    trajectory = episode(*turns, asked=asked, ending=ending)
    return Scored(
        trajectory=trajectory, score=compose("composite")(trajectory), sample=sample, step=step
    )


def group(number, rights, *, step=0, seed=0):
    """A group of rollouts with 0 to 9 searches each, some malformed turns, right or not."""
    rng = np.random.default_rng([seed, number])
    made = []
    for sample, right in enumerate(rights):
        turns = [search(f"term {i}") for i in range(int(rng.integers(10)))]
        turns += [malformed()] * int(rng.random() < 0.3)
        answer = answering("SCN1A" if right else "SCN2A")
        made.append(rollout(number, sample, *turns, answer, step=step))
    return made


ROLLOUTS = [
    *group(0, [1, 0, 1, 0]),
    *group(1, [0, 0, 0, 0]),
    *group(2, [1, 1, 1, 1]),
    *group(2, [1, 0, 0, 0], step=1),
    *group(3, [0, 0, 0, 1]),
]


def bank_of(rollouts):
    bank = Bank(KNOWLEDGE)
    for one in rollouts:
        bank.add(one)
    return bank


@pytest.fixture(scope="module")
def found():
    return ablate(bank_of(ROLLOUTS), ARMS, seed=1, draws=200)


def totals_of(arm):
    reward = compose(arm.composition, KNOWLEDGE.names)
    return [reward(one.trajectory) for one in ROLLOUTS]


def labels():
    return [f"{one.trajectory.question.id}@{one.step}" for one in ROLLOUTS]


def test_counts_are_those_of_the_rollouts(found):
    assert (found.episodes, found.questions, found.groups) == (20, 4, 5)
    assert (found.single, found.empty, found.unscored, found.disagreeing) == (0, 0, 0, 0)
    assert found.raws["accuracy"].mean == pytest.approx(8 / 20)


def test_means_and_rates_are_recomputed_by_hand(found):
    for arm, result in zip(ARMS, found.arms, strict=True):
        totals = [score.total for score in totals_of(arm)]
        groups = [totals[i : i + 4] for i in range(0, 20, 4)]
        assert result.reward.mean == pytest.approx(np.mean(totals))
        assert result.dead.mean == pytest.approx(np.mean([np.ptp(g) < 1e-9 for g in groups]))
        assert result.phantom.mean == float(np.ptp(groups[1]) > 1e-9)


def test_gates_keep_phantom_advantages_out_and_open_gates_let_them_in(found):
    phantom = {result.name: result.phantom.mean for result in found.arms}
    assert phantom["composite"] == 0
    assert phantom["composite ungated"] == 1


def test_accuracy_ranks_like_itself_and_shaping_among_right_answers_lowers_that(found):
    rank = {result.name: result.rank.mean for result in found.arms}
    assert rank["answer_only"] == pytest.approx(1)
    assert 0 < rank["composite ungated"] < rank["answer_only"]


def test_shares_sum_to_one_under_every_arm(found):
    for result in found.arms:
        assert sum(share.mean for share in result.shares.values()) == pytest.approx(1)


def test_the_first_arm_differs_from_itself_by_nothing(found):
    for difference in found.arms[0].differences.values():
        assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
    more = found.arms[2].differences["reward"]
    assert more.mean == pytest.approx(found.arms[2].reward.mean - found.arms[0].reward.mean)
    assert more.low <= more.mean <= more.high


@pytest.mark.verl
def test_shares_are_those_of_verls_own_advantages(found):
    core_algos = pytest.importorskip("verl.trainer.ppo.core_algos")
    torch = pytest.importorskip("torch")
    index = np.array(labels(), dtype=object)
    for arm, result in zip(ARMS, found.arms, strict=True):
        scores = totals_of(arm)
        rewards = torch.zeros(len(scores), 5, dtype=torch.float64)
        rewards[:, -1] = torch.tensor([score.total for score in scores], dtype=torch.float64)
        advantage, _ = core_algos.compute_grpo_outcome_advantage(
            rewards, torch.ones_like(rewards), index
        )
        advantages = advantage[:, 0].numpy()
        for name, share in result.shares.items():
            weighted = np.array([score.parts[name].weighted for score in scores])
            total = np.array([score.total for score in scores])
            shares = []
            for label in sorted(set(labels())):
                ours = index == label
                whole = float(np.sum(total[ours] * advantages[ours]))
                if abs(whole) > 1e-6:
                    shares.append(float(np.sum(weighted[ours] * advantages[ours])) / whole)
            assert share.mean == pytest.approx(np.mean(shares), abs=1e-6)


def test_what_a_cheater_earns_is_asked_of_every_arm():
    asked = []

    def exploit(composition):
        asked.append(composition)
        return 0.25

    result = ablate(bank_of(ROLLOUTS), ARMS, exploit=exploit, draws=10)
    assert [one.exploit for one in result.arms] == [0.25] * len(ARMS)
    assert asked == [arm.composition for arm in ARMS]


def test_a_group_of_one_is_counted_and_teaches_nothing():
    result = ablate(bank_of([*group(0, [1, 0]), *group(1, [1])]), [COMPOSITE], draws=10)
    assert (result.groups, result.single) == (1, 1)
    assert result.arms[0].dead.n == 1


def test_failed_episodes_are_left_out_and_a_group_of_them_is_empty():
    failed = [rollout(9, i, search("x"), ending="unavailable") for i in range(3)]
    result = ablate(bank_of([*group(0, [1, 0]), *failed]), [COMPOSITE], draws=10)
    assert (result.episodes, result.unscored, result.empty) == (2, 3, 1)
    assert result.questions == 1


def test_where_all_groups_are_dead_there_are_no_shares_rather_than_zeros():
    same = [rollout(0, i, answering("SCN1A")) for i in range(4)]
    (arm,) = ablate(bank_of(same), [COMPOSITE], draws=10).arms
    assert arm.shares == {}
    assert arm.dead.mean == 1
    assert arm.phantom is None
    assert arm.rank is None


def test_a_stored_accuracy_that_is_not_the_present_one_is_counted():
    (one,) = group(0, [1])
    part = msgspec.structs.replace(one.score.parts["accuracy"], raw=0.0)
    parts = {**one.score.parts, "accuracy": part}
    other = msgspec.structs.replace(one, score=msgspec.structs.replace(one.score, parts=parts))
    assert ablate(bank_of([one, other]), [COMPOSITE], draws=10).disagreeing == 1


# --- bad input -----------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    write_records(path, ROLLOUTS)
    return path


def test_a_file_cut_in_half_is_named_with_its_line(stored):
    whole = stored.read_bytes()
    stored.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"rollouts\.jsonl:\d+: expected a Scored: Input data was"):
        Bank(KNOWLEDGE).read(stored)


def test_a_trajectory_without_certificate_is_named_with_its_line(stored):
    lines = stored.read_bytes().splitlines()
    row = msgspec.json.decode(lines[2])
    del row["trajectory"]["question"]["certificate"]
    lines[2] = msgspec.json.encode(row)
    stored.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"rollouts\.jsonl:3: .*missing required field `certifi"):
        Bank(KNOWLEDGE).read(stored)


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
    bank = Bank(KNOWLEDGE)
    bank.read(path)
    with pytest.raises(UsageError, match=r"at least one rollout that can be scored in \S+none\.js"):
        ablate(bank, [COMPOSITE])
    failed = bank_of([rollout(0, 0, search("x"), ending="unavailable")])
    with pytest.raises(UsageError, match=r"got none \(1 ended in an infrastructure failure\)"):
        ablate(failed, [COMPOSITE])


def test_a_file_given_twice_is_refused(stored):
    bank = Bank(KNOWLEDGE)
    bank.read(stored)
    with pytest.raises(UsageError, match=r"is given twice"):
        bank.read(stored)


def test_the_same_question_in_two_files_makes_two_groups(stored, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_bytes(stored.read_bytes())
    bank = Bank(KNOWLEDGE)
    bank.read(stored)
    bank.read(other)
    assert ablate(bank, [COMPOSITE], draws=10).groups == 10


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 2.0])
def test_a_component_without_a_number_or_out_of_range_is_named(value):
    odd = Component(
        name="odd", measure=lambda *_: Value(value, "so"), rationale="Odd.", exploit="None."
    )
    bank = Bank(KNOWLEDGE, {**COMPONENTS, "odd": odd})
    with pytest.raises(UsageError, match=r"component 'odd' gave \S+ for question 'train:0'; expec"):
        bank.add(ROLLOUTS[0])


def test_a_running_episode_is_refused():
    with pytest.raises(UsageError, match=r"question 'train:0' has not ended"):
        bank_of([msgspec.structs.replace(ROLLOUTS[0], trajectory=episode(ending=None))])


def test_a_typo_in_an_arm_is_an_error():
    with pytest.raises(UnknownNameError, match=r"in arm 'mine' 'acuracy'; did you mean 'accuracy'"):
        ablate(bank_of(ROLLOUTS), [read_arm("mine:acuracy=1")])


# --- what a person sees --------------------------------------------------------------------------


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.scripts = [], 0

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.found += [value for name, value in attrs if name in ("src", "href", "action")]


def test_the_page_needs_nothing_but_itself_and_names_every_arm(found, tmp_path):
    path = tmp_path / "pages" / "ablation.html"
    write_ablation(path, found)
    page = path.read_text()
    links = Links()
    links.feed(page)
    assert all(link.startswith("#") for link in links.found)
    assert links.scripts == 1
    for result in found.arms:
        assert result.name in page
    assert "Phantom advantage" in page
    assert "infinity" not in page.lower()
    assert re.search(r"\bnan\b", page) is None


def test_a_name_with_markup_in_it_stays_text(tmp_path):
    arm = read_arm("<script>alert(1)</script>:accuracy=1")
    write_ablation(tmp_path / "page.html", ablate(bank_of(ROLLOUTS), [arm], draws=10))
    assert "<script>alert" not in (tmp_path / "page.html").read_text()


def test_the_verdict_names_the_arms_that_are_unsound(found):
    said = verdict(found.arms)
    assert "1 of 5 would teach something where every answer is wrong: composite ungated." in said
    assert "None of 5 rewards would let a wrong answer outrank a right one." in said


def test_the_tables_have_a_row_for_every_arm(found):
    for table in tables(found):
        assert table.row_count == len(ARMS)


def run(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    cli_rewards.register(app)
    return CliRunner().invoke(app, ["ablate", *map(str, arguments)])


def test_the_command_writes_page_and_figures_and_prints_the_verdict(stored, tmp_path):
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    done = run(stored, "--vary", "composite", "--html", page, "--json", figures)
    assert done.exit_code == 0, done.output
    assert "2 of 10 would" not in done.output
    assert "1 of 10 would pay a cheater that does not answer: composite ungated." in done.output
    arms = msgspec.json.decode(figures.read_bytes())["arms"]
    assert [arm["name"] for arm in arms][: len(PRESETS)] == [*PRESETS]
    assert page.read_text().startswith("<!doctype html>")


def test_the_command_takes_arms_of_ones_own_and_no_cheaters(stored):
    done = run(stored, "--presets", "paper", "--arm", "mine:accuracy=1,format=2@open", "--env", "")
    assert done.exit_code == 0, done.output
    assert "1 of 2 would let a wrong answer outrank a right one: mine." in done.output
    assert "cheater" not in done.output


def test_the_command_names_the_index_that_may_be_missing(tmp_path):
    near = rollout(0, 0, answering("SCN1A"))
    part = msgspec.structs.replace(near.score.parts["accuracy"], raw=0.0)
    score = msgspec.structs.replace(near.score, parts={"accuracy": part})
    write_records(tmp_path / "it.jsonl", [msgspec.structs.replace(near, score=score)])
    done = run(tmp_path / "it.jsonl", "--env", "", "--graph", "toy")
    assert "The stored accuracy of 1 episodes is not what it is now" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.jsonl"], r"gone\.jsonl: cannot be read: No such file"),
        (
            ["gone.jsonl", "--presets", "papr"],
            r"unknown reward preset 'papr'; did you mean 'paper'",
        ),
        (["gone.jsonl", "--presets", ""], r"at least one arm, got none"),
        (["gone.jsonl", "--graph", "nowhere"], r"nowhere"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(arguments, message):
    done = run(*arguments)
    assert isinstance(done.exception, UsageError)
    assert re.search(message, str(done.exception))
    assert "\n" not in str(done.exception)
