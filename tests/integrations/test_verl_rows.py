"""The rows that verl reads: prompts are whole, and contradictions are refused before a start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf
from transformers import AutoTokenizer

from medenv.errors import UsageError
from medenv.integrations.hf.chat_tokens import ChatTokens
from medenv.integrations.verl.algorithm import check_algorithm
from medenv.integrations.verl.rows import count_rows, fitting
from medenv.integrations.verl.run import Run

from ..toy import opened, train_config

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "models" / "tiny_policy"
ALONE = "actor_rollout_ref.rollout.n=1"
pytestmark = pytest.mark.verl


def composed(root: Path, *overrides: str) -> DictConfig:
    fixed = ["experiment=smoke", f"root={root}", f"policy={POLICY}"]
    return train_config(*fixed, *overrides)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


def prepared(root: Path, *overrides: str) -> tuple[Run, list[str]]:
    said: list[str] = []
    with opened(composed(root, *overrides), said.append) as run:
        return run, said


@pytest.fixture(scope="module")
def whole(root: Path) -> Run:
    run, said = prepared(root, "run=whole", "trainer.total_training_steps=null")
    assert not any("leaving out" in line for line in said)
    return run


def lengths(run: Run, name: str) -> list[int]:
    """As verl counts them where it filters."""
    datasets = pytest.importorskip("datasets")
    table = datasets.load_dataset(
        "parquet",
        data_files=str(run.folder / "data" / f"{name}.parquet"),
        cache_dir=str(run.folder),
    )["train"]
    tokenizer = AutoTokenizer.from_pretrained(POLICY)
    render: Any = tokenizer.apply_chat_template
    return [
        len(render(prompt, add_generation_prompt=True, tokenize=True, return_dict=False))
        for prompt in table["prompt"]
    ]


def test_prompts_are_counted_as_verl_counts_them(whole: Run) -> None:
    prompts = [[{"role": "user", "content": "x " * n}] for n in (1, 7, 40)]
    tokenizer = AutoTokenizer.from_pretrained(POLICY)
    render: Any = tokenizer.apply_chat_template
    expected = [
        len(render(one, add_generation_prompt=True, tokenize=True, return_dict=False))
        for one in prompts
    ]
    assert ChatTokens(tokenizer).prompt_lengths(prompts) == expected
    assert ChatTokens(tokenizer).prompt_lengths([]) == []
    assert max(lengths(whole, "train")) <= 128


def test_a_prompt_that_is_too_long_is_refused_before_the_folder_is_taken(
    root: Path, whole: Run
) -> None:
    longest = max(lengths(whole, "train"))
    with pytest.raises(UsageError, match=f"data.max_prompt_length={longest - 1} tokens") as refused:
        prepared(root, "run=refused", f"data.max_prompt_length={longest - 1}")
    assert f"set it to {longest}" in str(refused.value)
    run, _ = prepared(root, "run=refused", f"data.max_prompt_length={longest}")
    assert count_rows(run.folder / "data" / "train.parquet") == len(lengths(whole, "train"))


def test_prompts_that_are_too_long_are_left_out_where_asked_and_told(
    root: Path, whole: Run
) -> None:
    all_lengths = lengths(whole, "train")
    most = sorted(all_lengths)[len(all_lengths) // 2]
    run, said = prepared(
        root,
        *("run=filtered", f"data.max_prompt_length={most}", "data.filter_overlong_prompts=true"),
        *("trainer.total_training_steps=null", "trainer.total_epochs=3"),
    )
    kept = [length for length in all_lengths if length <= most]
    assert lengths(run, "train") == kept
    dropped = len(all_lengths) - len(kept)
    assert any(f"leaving out {dropped:,} of {len(all_lengths):,}" in line for line in said)
    assert run.steps == 3 * (len(kept) // 4)
    assert max(lengths(run, "val")) <= most


def test_leaving_all_prompts_out_is_refused(whole: Run) -> None:
    table = [{"prompt": [{"role": "user", "content": "x " * 40}]}]
    tokens = ChatTokens(AutoTokenizer.from_pretrained(POLICY))
    with pytest.raises(UsageError, match="1 of 1 prompts"):
        fitting(table, tokens, 12, leave_out=True)


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ([ALONE], "adv_estimator=grpo compares .* there is 1"),
        (
            ["algo=ppo", ALONE, "algorithm.filter_groups.enable=true"],
            "filter_groups compares .* there is 1",
        ),
        (["algo=ppo", ALONE, "scoring=random", "data.train_batch_size=1"], "has one episode"),
        (
            [
                "algorithm.rollout_correction.rollout_is=token",
                "actor_rollout_ref.rollout.calculate_log_probs=false",
            ],
            "rollout_is=token needs the rollout server's log-probabilities",
        ),
        (
            ["scoring=process", "scoring.turn_rewards=true"],
            "adv_estimator=grpo adds up the rewards .* would change nothing",
        ),
        (
            ["algo=turn_grpo", "algorithm.rollout_correction.rollout_rs=token"],
            "medenv_turn_grpo finds turns by the response mask",
        ),
        (["algo=turn_grpo", ALONE], "medenv_turn_grpo compares .* there is 1"),
        (["algo=gdpo", ALONE], "medenv_gdpo compares .* there is 1"),
        (["algo=gdpo", "scoring=random"], "medenv_gdpo compares the parts .* scoring.shuffle_seed"),
        (
            ["algo=gdpo", "algorithm.use_kl_in_reward=true"],
            "medenv_gdpo compares the parts .* algorithm.use_kl_in_reward",
        ),
        *(
            ([f"algorithm.adv_estimator={name}"], f"adv_estimator={name} needs values that verl's")
            for name in ("gdpo", "remax", "optimal_token_baseline", "tir_optimal_token_baseline")
        ),
        (["env.retry.attempts=0"], "attempts >= 1"),
        (["env.retry.timeout=soon"], "env.retry.timeout"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, overrides: list[str], problem: str
) -> None:
    with pytest.raises((UsageError, ConfigCompositionException), match=problem):
        prepared(tmp_path, *overrides)


@pytest.mark.parametrize("algo", ["ppo", "turn_grpo"])
def test_turn_rewards_are_accepted_where_they_change_something(tmp_path: Path, algo: str) -> None:
    turns = ["scoring=process", "scoring.turn_rewards=true"]
    check_algorithm(composed(tmp_path, f"algo={algo}", *turns))


@pytest.mark.parametrize("algo", sorted(path.stem for path in (ROOT / "conf" / "algo").iterdir()))
def test_every_algorithm_is_accepted(tmp_path: Path, algo: str) -> None:
    config = composed(tmp_path, f"algo={algo}")
    check_algorithm(config)
    sampler = OmegaConf.to_container(config.trainer.v1.sampler.sampler_kwargs, resolve=True)
    assert isinstance(sampler, dict)
    assert sampler["filter_groups"]["enable"] == (algo == "dapo")
    assert sampler["estimator"] == config.algorithm.adv_estimator
