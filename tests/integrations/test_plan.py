"""What a training needs, against models that are built, and the presets that fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import init_empty_weights
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from transformers import AutoModelForCausalLM, Qwen3Config

from medenv.errors import UsageError
from medenv.integrations.hf.shapes import SHAPES, Shape, shape_of
from medenv.integrations.verl.plan import GIB, plan_of
from medenv.integrations.verl.preflight import check_plan

from ..toy import train_config

ROOT = Path(__file__).parents[2]
TINY = ROOT / "models" / "tiny_policy"
pytestmark = pytest.mark.verl


def built(shape: Shape) -> int:
    """Parameters of the model that transformers builds, without memory for them."""
    config = Qwen3Config(
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.inner,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.tied,
    )
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    return int(model.num_parameters())


@pytest.mark.parametrize("name", SHAPES)
def test_a_known_shape_has_the_parameters_of_the_model_and_of_its_name(name: str) -> None:
    shape = SHAPES[name]
    assert shape.parameters == built(shape)
    said = float(name.rpartition("-")[2].rstrip("B"))
    assert shape.parameters / 1e9 == pytest.approx(said, rel=0.06)


def test_the_shape_of_a_folder_has_the_parameters_of_its_weights() -> None:
    with safe_open(TINY / "model.safetensors", "pt") as weights:
        held = sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118  # no mapping
    assert shape_of(str(TINY)).parameters == held


def test_an_adapter_has_the_parameters_that_peft_trains() -> None:
    model = AutoModelForCausalLM.from_pretrained(TINY)
    tuned = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    trained = sum(one.numel() for one in tuned.parameters() if one.requires_grad)
    assert shape_of(str(TINY)).adapter(4) == trained


FITS = {
    ("one_gpu", "none"): {"0_6b", "1_7b"},
    ("one_gpu", "lora_r32"): {"0_6b", "1_7b", "4b", "8b"},
    ("eight_gpu", "none"): {"0_6b", "1_7b", "4b", "8b", "14b"},
    ("eight_gpu", "lora_r32"): {"0_6b", "1_7b", "4b", "8b", "14b", "32b"},
    ("thirty_two_gpu", "none"): {"0_6b", "1_7b", "4b", "8b", "14b", "32b"},
}


@pytest.mark.parametrize(("hardware", "adapter"), FITS)
def test_the_presets_that_fit_are_those_that_the_docs_name(hardware: str, adapter: str) -> None:
    for size in ("0_6b", "1_7b", "4b", "8b", "14b", "32b"):
        config = train_config(f"policy=qwen3_{size}", f"hardware={hardware}", f"adapter={adapter}")
        if size in FITS[hardware, adapter]:
            check_plan(config)
        else:
            with pytest.raises(UsageError, match="does not fit"):
                check_plan(config)


def test_memory_is_that_of_the_states_and_the_tokens() -> None:
    """Qwen3-8B over eight: worked out by hand."""
    config = train_config("policy=qwen3_8b", "hardware=eight_gpu")
    plan = plan_of(config)
    phases = {phase.name: phase.parts for phase in plan.phases}
    share = 8_190_735_360 / 8 / GIB
    update = phases["update"]
    assert update["weights"] == update["gradients"] == pytest.approx(4 * share)
    assert update["Adam's moments"] == pytest.approx(8 * share)
    assert update["logits and their gradient"] == pytest.approx(14_336 * 4 * 151_936 / GIB)
    assert phases["generation"]["engine's weights"] == pytest.approx(2 * 8 * share)
    assert sum(phases["generation"].values()) == pytest.approx(0.8 * 79)
    assert plan.disk == pytest.approx(2 * 16 * 8 * share)
    a_token = 2 * 36 * 8 * 128 * 2  # key and value of each layer, two bytes each
    room = (0.8 * 79 - 2) * GIB - 2 * 8_190_735_360
    assert plan.step["whole episodes in its cache at once"] == int(8 * room / a_token / 14_336)
    assert plan.step["episodes"] == 1_024


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["actor_rollout_ref.rollout.tensor_model_parallel_size=3"], "32 heads cannot be shared"),
        (["actor_rollout_ref.actor.ppo_mini_batch_size=48"], "batch_size=128 is no multiple of"),
        (
            ["data.max_response_length=16384"],
            "18,432 tokens is longer than a micro-batch of 14,336",
        ),
        (
            ["actor_rollout_ref.rollout.max_model_len=4096"],
            "longer than the rollout engine's 4,096",
        ),
        (
            ["actor_rollout_ref.rollout.gpu_memory_utilization=0.99"],
            "generation takes 78 of 75 GiB",
        ),
        (["actor_rollout_ref.rollout.gpu_memory_utilization=0.1"], "weights are larger than its"),
    ],
)
def test_what_cannot_run_is_told_with_what_to_change(overrides: list[str], problem: str) -> None:
    plan = plan_of(train_config("policy=qwen3_8b", "hardware=eight_gpu", *overrides))
    assert any(problem in one for one in plan.problems), plan.problems


def test_states_that_wait_on_the_accelerators_are_counted_while_others_work() -> None:
    fsdp = "actor_rollout_ref.actor.fsdp_config"
    kept = [f"{fsdp}.param_offload=false", f"{fsdp}.optimizer_offload=false", "algo=ppo"]
    plan = plan_of(train_config("policy=qwen3_8b", "hardware=eight_gpu", *kept))
    generation = plan.phases[0].parts
    share = 8_190_735_360 / 8 / GIB
    assert generation["trainer's weights"] == generation["critic's weights"]
    assert generation["trainer's moments"] == pytest.approx(8 * share)
    assert plan.memory["what the accelerators put away"] == 0
    assert plan.disk == pytest.approx(2 * 28 * 8 * share)


def test_an_unknown_shape_is_told_and_stops_no_training(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the shape of 'some/model' is not known here"):
        shape_of("some/model")
    check_plan(train_config("policy=some/model", "hardware=one_gpu"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="num_attention_heads"):
        shape_of(str(tmp_path))


def medenv(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "medenv.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_prints_the_plan_and_training_refuses_what_it_refuses(tmp_path: Path) -> None:
    large = ["policy=qwen3_32b", "hardware=one_gpu", f"root={tmp_path}"]
    planned = medenv("plan", *large)
    assert planned.returncode == 1, planned.stderr
    assert "32.76 billion parameters, on 1 accelerator of 79 GiB" in planned.stdout
    assert "together" in planned.stdout
    assert "does not fit" in planned.stdout
    trained = medenv("train", *large)
    assert trained.returncode == 2
    assert trained.stdout.startswith("error: Qwen/Qwen3-32B does not fit (`medenv plan` says more)")
    assert trained.stdout.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert medenv("plan", "policy=qwen3_8b", "hardware=eight_gpu").stdout.rstrip().endswith("fits")
