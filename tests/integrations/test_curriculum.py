"""The curriculum over verl's rows and the dataloader that verl's trainer makes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from omegaconf import OmegaConf

from medenv.build.settings import CurriculumSettings, EnvSettings, TrainSettings
from medenv.episodes.episode import Budget
from medenv.errors import UsageError
from medenv.records import Part, Question, Score, Scored, Trajectory

from ..fakes import question

pytestmark = [pytest.mark.verl, pytest.mark.filterwarnings("ignore")]

pytest.importorskip("torchdata")
datasets = pytest.importorskip("datasets")

SETTINGS = CurriculumSettings(by="success", start=0.25, pace=2.0, decay=0.5, floor=0.1)


def asked(count: int) -> list[Question]:
    """Questions of rising difficulty, the hardest first."""
    return [
        msgspec.structs.replace(question(number), difficulty=1.0 - number / count)
        for number in range(count)
    ]


def outcome(number: int, *right: float) -> list[Scored]:
    return [
        Scored(
            trajectory=Trajectory(
                question=question(number), turns=(), ending="answered", answer="X"
            ),
            score=Score(
                total=value, parts={"accuracy": Part(raw=value, weight=1.0, weighted=value)}
            ),
            sample=sample,
        )
        for sample, value in enumerate(right)
    ]


def curriculum(count: int = 8, apart: int = 0, seed: int = 3) -> Any:
    from medenv.integrations.verl.curriculum import Curriculum

    return Curriculum(asked(count), SETTINGS, seed, apart)


def test_it_begins_with_the_easiest_questions_and_opens_the_others() -> None:
    made = curriculum()
    # Easiest last; shares of easier questions are 7/8, 6/8, ..., 0.
    assert made.weights.tolist() == [0.1] * 6 + [1.0] * 2
    for _ in range(8):  # half of pace * questions: 0.25 + 0.75 / 2 = 0.625 is open
        made.draw()
    assert made.weights.tolist() == [0.1] * 3 + [1.0] * 5
    for _ in range(8):
        made.draw()
    assert made.weights.tolist() == [1.0] * 8


def test_weights_follow_the_variance_of_decayed_outcomes() -> None:
    made = curriculum()
    logged = made.learn([*outcome(0, 1, 0, 1, 1), *outcome(1, 0, 0)])
    # (3 + 1/2) / (4 + 1) = 0.7 and (0 + 1/2) / (2 + 1) = 1/6
    assert made.weights[:2] == pytest.approx([0.1 + 0.9 * 4 * 0.7 * 0.3, 0.1 + 0.9 * 4 * 5 / 36])
    assert logged == pytest.approx(
        {
            "curriculum/new": 1.0,
            "curriculum/seen": 2 / 8,
            "curriculum/success": (0.7 + 1 / 6) / 2,
        }
    )
    logged = made.learn([*outcome(0, 0, 0), *outcome(7, 1, 1)])
    assert logged["curriculum/new"] == 0.5
    p = (0.5 * 3 + 0.5) / (0.5 * 4 + 2 + 1)
    assert made.success[0] == pytest.approx(p)
    assert made.weights[0] == pytest.approx(0.1 + 0.9 * 4 * p * (1 - p))


def test_questions_are_drawn_as_often_as_their_weights_say() -> None:
    made = curriculum()
    for number in range(8):
        made.learn(outcome(number, *([1, 0] if number < 2 else [0] * 20)))
    weights = made.weights / made.weights.sum()
    drawn = np.bincount([made.draw() for _ in range(4000)], minlength=8) / 4000
    assert drawn == pytest.approx(weights, abs=0.03)


def test_a_question_is_kept_back_after_it_was_drawn() -> None:
    made = curriculum(apart=4)
    drawn = [made.draw() for _ in range(60)]
    assert all(len(set(drawn[at : at + 5])) == 5 for at in range(56))


def test_the_sequence_depends_on_seed_and_outcomes_alone() -> None:
    one, same, other = curriculum(), curriculum(), curriculum(seed=4)
    np.random.seed(0)  # noqa: NPY002 - the global state that it must not use
    first = [one.draw() for _ in range(20)]
    np.random.seed(1)  # noqa: NPY002
    assert [same.draw() for _ in range(20)] == first
    assert [other.draw() for _ in range(20)] != first


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="floor in"):
        CurriculumSettings(floor=0.0)
    with pytest.raises(UsageError, match="at least 1, got 0 and 100"):
        CurriculumSettings(turns=0)


def test_turns_grow_evenly_to_the_budget() -> None:
    grows = CurriculumSettings(turns=2, turn_steps=8)
    assert [grows.turns_at(step, 6) for step in range(1, 12)] == [2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 6]
    assert CurriculumSettings().turns_at(1, 6) == 6


def test_a_horizon_that_is_no_shorter_than_the_budget_is_refused() -> None:
    env = EnvSettings(budget=Budget(turns=4))
    with pytest.raises(UsageError, match=r"curriculum.turns=4 is no less than env.budget.turns=4"):
        TrainSettings(env=env, curriculum=CurriculumSettings(turns=4))
    TrainSettings(env=env, curriculum=CurriculumSettings(turns=3))


class Rows:
    """A dataset that keeps its rows where verl's `RLHFDataset` does."""

    def __init__(self, count: int) -> None:
        rows = [
            {"extra_info": {"question": msgspec.json.encode(one).decode()}} for one in asked(count)
        ]
        self.dataframe = datasets.Dataset.from_list(rows)

    def __len__(self) -> int:
        return len(self.dataframe)

    def __getitem__(self, number: int) -> int:
        return number


def trainer(state: dict[str, Any] | None = None, by: str = "success") -> Any:
    """What `install` uses of verl's trainer, with the dataloader and sampler that verl makes."""
    from torchdata.stateful_dataloader import StatefulDataLoader
    from verl.trainer.ppo.utils import create_rl_sampler

    rows = Rows(16)
    data = {"shuffle": True, "seed": 3, "train_batch_size": 4}
    config = OmegaConf.create(
        {"seed": 3, "data": data, "curriculum": {**msgspec.to_builtins(SETTINGS), "by": by}}
    )
    loader = StatefulDataLoader(
        dataset=rows,
        batch_size=4,
        num_workers=2,
        drop_last=True,
        collate_fn=list,
        sampler=create_rl_sampler(config.data, rows),
    )
    if state is not None:
        loader.load_state_dict(state)
    return SimpleNamespace(
        config=config,
        train_dataset=rows,
        train_dataloader=loader,
        train_dataloader_it=None,
        replay_buffer=SimpleNamespace(curriculum=None),
    )


def steps(made: Any, first: int, last: int) -> list[list[int]]:
    """Batches as verl's trainer fetches them, with outcomes between them."""
    batches = []
    for step in range(first, last):
        batch = next(made.train_dataloader_it)
        for number in batch:
            made.replay_buffer.curriculum.learn(outcome(number, (number + step) % 2, 1))
        batches.append(batch)
    return batches


def test_a_run_goes_on_after_its_checkpoint_as_if_it_had_not_been_stopped() -> None:
    from medenv.integrations.verl.curriculum import install

    whole = trainer()
    install(whole)
    expected = steps(whole, 0, 12)  # three times the questions: beyond what an epoch would be
    stopped = trainer()
    install(stopped)
    assert steps(stopped, 0, 5) == expected[:5]
    saved = stopped.train_dataloader.state_dict()
    steps(stopped, 5, 7)  # trained after the checkpoint, and lost
    resumed = trainer(saved)
    install(resumed)
    assert steps(resumed, 5, 12) == expected[5:]
    final = resumed.replay_buffer.curriculum.state_dict()
    assert final == whole.replay_buffer.curriculum.state_dict()


def test_without_a_curriculum_the_trainer_keeps_its_dataloader() -> None:
    from medenv.integrations.verl.curriculum import install

    made = trainer(by="none")
    before = made.train_dataloader
    install(made)
    assert made.train_dataloader is before
    assert made.replay_buffer.curriculum is None


def test_a_state_of_other_questions_is_refused() -> None:
    with pytest.raises(ValueError, match="8 questions, got 6"):
        curriculum(8).load_state_dict(curriculum(6).state_dict())
