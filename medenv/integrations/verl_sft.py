"""The warm start: a new tiny policy, taught by verl's SFT trainer on teachers' episodes.

outputs/<run>/
new_policy/       tokenizer and untrained weights
lessons.parquet   token ids and exact loss masks
checkpoints/      verl's own
train.log         all output
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from omegaconf import DictConfig, OmegaConf
from transformers import AutoModelForCausalLM, AutoTokenizer

from medenv.corpus import BM25Retriever
from medenv.episode import Episode
from medenv.errors import UsageError
from medenv.integrations.config import plain
from medenv.integrations.processes import Tree
from medenv.integrations.tiny_policy import TURN_END, TinyPolicyConfig, write_new_policy
from medenv.integrations.verl_run import TrainingFailedError
from medenv.integrations.world import make_world_parts
from medenv.kg import read_questions
from medenv.policies import Guesser, Oracle, Teacher, Wanderer
from medenv.records import Entity, Passage, Question, Trajectory
from medenv.registry import Parts, make_dialect
from medenv.teaching import Lesson, grounded, lesson, taught
from medenv.workspace import Step, Workspace, WorkspaceSettings, open_workspace

PREVIEW_CHARS = 200
"""How much of a passage the tokenizer sees, characters."""

TOKENIZER_EPISODES = 6_000
"""How many episodes the tokenizer sees."""


def prepare_lessons(config: DictConfig, step: Step) -> Counter[str]:
    """Write the new policy and the lessons into the run's folder, unless they are there.

    Tokenizer and lessons see the training split alone: no episode of a held-out question, and no
    document of an entity on a held-out gold path.

    Args:
        config: The composed config.
        step: Is told of each step.

    Returns:
        Number of lessons by teacher, and of episodes that were left out; empty when reused.
    """
    section = plain(config.medenv)
    root, folder = Path(section["root"]), Path(section["root"]) / section["run"]
    if (folder / "lessons.parquet").exists():
        return Counter()
    folder.mkdir(parents=True, exist_ok=True)
    settings = msgspec.convert(section["world"], WorkspaceSettings)
    workspace = open_workspace(settings, root / "workspaces", step)
    parts = make_world_parts(
        section, workspace.questions("train"), workspace.corpus, workspace.graph
    )
    step("letting the teachers play")
    episodes, counts = _episodes(section, parts)
    step("training the tokenizer")
    policy = TinyPolicyConfig(**section["tiny"])
    write_new_policy(folder / "new_policy", policy, _texts(parts, workspace, episodes))
    tokenizer = AutoTokenizer.from_pretrained(folder / "new_policy")

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids

    step("writing the lessons")
    lessons = [
        lesson(name, one, Episode(one.question, parts.rules).prompt(), encode, TURN_END)
        for name, one in episodes
    ]
    _write(folder / "lessons.parquet", lessons)
    return counts


def teach(config: DictConfig) -> Iterator[tuple[int, dict[str, float]]]:
    """Run verl's SFT trainer on the lessons; yields each step as it is logged.

    Args:
        config: The composed config.

    Raises:
        TrainingFailedError: The trainer failed.
    """
    section = plain(config.medenv)
    folder = Path(section["root"]) / section["run"]
    metrics, log = folder / "metrics.jsonl", folder / "train.log"
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    processes = int(config.trainer.n_gpus_per_node)
    tree = Tree(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc_per_node={processes}",
            "-m",
            "medenv.integrations.verl_sft_main",
            str(folder / "config.yaml"),
        ],
        {**section["hardware"]["environment"], "VERL_FILE_LOGGER_PATH": str(metrics.absolute())},
        log,
    )
    seen = 0
    try:
        while (status := tree.poll()) is None or seen < _lines(metrics):
            lines = metrics.read_bytes().split(b"\n")[:-1] if metrics.exists() else []
            for line in lines[seen:]:
                entry = json.loads(line)
                yield int(entry["step"]), entry["data"]
            seen = len(lines)
            time.sleep(0.5)
        if status != 0:
            raise TrainingFailedError(f"the SFT trainer ended with status {status}; see {log}")
    finally:
        tree.stop()


def export(config: DictConfig, target: Path) -> int:
    """Copy the taught policy out of verl's last checkpoint, weights in bfloat16.

    Args:
        config: The composed config.
        target: The folder to write; replaced where it exists.

    Returns:
        Number of parameters.

    Raises:
        UsageError: There is no checkpoint.
    """
    checkpoints = Path(config.trainer.default_local_dir)
    tracker = checkpoints / "latest_checkpointed_iteration.txt"
    if not tracker.exists():
        raise UsageError(f"no checkpoint in {checkpoints}: let the training reach its end")
    source = checkpoints / f"global_step_{tracker.read_text().strip()}" / "huggingface"
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    partial = target.with_name(f".{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(partial)
    AutoTokenizer.from_pretrained(source).save_pretrained(partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return sum(parameter.numel() for parameter in model.parameters())


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _episodes(
    section: dict[str, Any], parts: Parts
) -> tuple[list[tuple[str, Trajectory]], Counter[str]]:
    settings, dialect = section["lessons"], make_dialect(section["env"]["dialect"])
    names = {passage.entity: passage.title for passage in _passages(parts)}
    answers = _answers(parts.questions)
    seed, oracle = settings["seed"], Oracle(names, dialect)
    teachers: dict[str, tuple[float, Teacher]] = {
        "oracle": (settings["oracle"], oracle),
        "guess": (settings["guess"], Guesser(answers, dialect, seed=seed + 1)),
        "wander": (settings["wander"], Wanderer(oracle, answers, seed=seed + 2)),
    }
    played = taught(
        parts.rollouts(), parts.questions, teachers, n=settings["episodes"], seed=seed + 3
    )
    kept, counts = [], Counter[str]()
    for name, scored in played:
        if name == "oracle" and not grounded(scored.trajectory):
            counts["left out: the passages did not show the answer"] += 1
            continue
        counts[name] += 1
        kept.append((name, scored.trajectory))
    return kept, counts


def _passages(parts: Parts) -> Iterable[Passage]:
    if not isinstance(parts.retriever, BM25Retriever):
        raise UsageError("teaching needs env.retriever=bm25 and a tool that searches")
    return parts.retriever.passages


def _answers(questions: tuple[Question, ...]) -> list[Entity]:
    return list({entity.id: entity for q in questions for entity in q.answers}.values())


def _texts(
    parts: Parts, workspace: Workspace, episodes: list[tuple[str, Trajectory]]
) -> Iterator[str]:
    """What the tokenizer is trained on: a quarter of the training documents, and episodes."""
    held_out = {
        entity
        for question in read_questions(workspace.questions("test"))
        for hop in question.certificate.path
        for entity in (hop.head, hop.tail)
    }
    seen = (passage for passage in _passages(parts) if passage.entity not in held_out)
    for passage in islice(seen, None, None, 4):
        yield f"{passage.title}: {passage.text[:PREVIEW_CHARS]}"
    for _, one in episodes[:TOKENIZER_EPISODES]:
        turns = (
            f"<|im_start|>assistant\n{turn.text}<|im_start|>tool\n{turn.observation}"
            for turn in one.turns
        )
        yield f"<|im_start|>user\n{one.question.text}" + "\n".join(turns)


def _write(path: Path, lessons: list[Lesson]) -> None:
    partial = path.with_name(f"{path.name}.part")
    columns = {name: [getattr(one, name) for one in lessons] for name in Lesson.__struct_fields__}
    pq.write_table(pa.table(columns), partial)
    partial.replace(path)
