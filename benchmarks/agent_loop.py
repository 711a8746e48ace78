"""The cost of episodes in a training step beside generation: environment, tools, rewards, tokens.

Run it with `python benchmarks/agent_loop.py`; what follows is set as in `recipes/train.py`, such as
`graph=hpo questions=short`. verl's rollout server is replaced by one that answers at once, or after
a stated time, with three searches and an answer, so that only what runs in the agent workers is
seen: medenv's agent loop, environment, retrieval and reward, and verl's chat template and tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
import psutil
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from overlapping import Loop, loops
from rich.console import Console
from rich.progress import track
from rich.table import Table

from medenv.build.prepare import TrainingEnv, load_environment, prepare, write_environment
from medenv.build.settings import TrainSettings
from medenv.integrations.hydra.config import register_schema, settings_of
from medenv.integrations.hydra.launching import CONF, expanded
from medenv.records import Question
from medenv.tools import FunctionTool, ToolBox

AT_ONCE = 512
SEARCHES = 3
GOAL = 0.02
"""Largest share of a step that is to be spent on what is measured here."""
TOOL_SECONDS = 0.02
TURN_SECONDS = 2.0
"""Time that a slow tool takes, and a turn of the engine beside it."""
GIVEN = ("graph=toy", "questions=toy", "env=tiny", "hardware=cpu", "policy=tiny")


class Engine:
    """Stands where verl's rollout server stands: answers with one episode's texts.

    Args:
        turns: Token ids of each turn.
        seconds: Time until it answers.
    """

    def __init__(self, turns: list[list[int]], seconds: float) -> None:
        self._turns, self._seconds = iter(turns), seconds

    async def generate(self, **_request: Any) -> Any:
        """Return the next turn."""
        if self._seconds:
            await asyncio.sleep(self._seconds)
        ids = next(self._turns)
        return SimpleNamespace(
            token_ids=ids, log_probs=[-0.5] * len(ids), stop_reason="completed", extra_fields={}
        )


class Bench(NamedTuple):
    """The environment, tokenizer and questions of the benchmark.

    Attributes:
        config: The composed config of a training.
        path: The `environment.json`.
        tokenizer: The policy's.
        questions: What is asked.
    """

    config: DictConfig
    path: str
    tokenizer: Any
    questions: tuple[Question, ...]

    def texts(self, question: Question) -> list[list[int]]:
        """Return the token ids of an episode that searches and answers rightly."""
        write, name = load_environment(self.path).parts.rules.dialect, question.subject.name
        words = [f"{name}", f"gene of {name}", f"signs of {name}"][:SEARCHES]
        calls = [write.write_call("search", {"query": one}) for one in words]
        turns = [*calls, write.write_answer(question.answers[0].name)]
        encode = self.tokenizer.encode
        return [encode(one + "<|im_end|>", add_special_tokens=False) for one in turns]

    async def play(self, number: int, env: TrainingEnv, turns: list[list[int]], wait: float) -> int:
        """Play an episode as verl's agent worker does; return its number of trained tokens."""
        from verl.experimental.agent_loop.agent_loop import DictConfigWrap
        from verl.utils.dataset.rl_dataset import RLHFDataset

        from medenv.integrations.verl.agent_loop import MedEnvAgentLoop

        question = self.questions[number % len(self.questions)]
        loop = MedEnvAgentLoop(
            trainer_config=DictConfigWrap(self.config),
            server_manager=Engine(turns, wait),
            tokenizer=self.tokenizer,
            processor=None,
            dataset_cls=RLHFDataset,
            data_config=DictConfigWrap(self.config.data),
            hf_model_type="qwen3",
            environment=self.path,
        )
        loop.env = env
        info = {"question": msgspec.json.encode(question).decode(), "sampling": "sampled"}
        out = await loop.run({"temperature": 1.0}, extra_info=info, uid="u", session_id=number)
        if isinstance(out, list) or out.num_turns != 2 * (SEARCHES + 1):
            raise SystemExit("an episode did not end with its answer: give it more tokens")
        return sum(out.as_dict()["response_mask"].tolist())

    def step(
        self, count: int, make: Loop, env: TrainingEnv | None = None, wait: float = 0.0
    ) -> float:
        """Play episodes at once; return the wall time, seconds."""
        playing = env or load_environment(self.path)
        texts = [self.texts(question) for question in self.questions]

        async def all_of_them() -> None:
            jobs = (self.play(i, playing, texts[i % len(texts)], wait) for i in range(count))
            await asyncio.gather(*jobs)

        with asyncio.Runner(loop_factory=make) as runner:
            begun = time.perf_counter()
            runner.run(all_of_them())
            return time.perf_counter() - begun


def open_bench(overrides: list[str], root: str) -> tuple[Bench, float, float]:
    """Compose and prepare a training; return also the time to prepare and to open it, seconds."""
    from transformers import AutoTokenizer

    register_schema("train", TrainSettings)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=expanded([*GIVEN, *overrides, f"root={root}"]))
    OmegaConf.resolve(config)  # as a run gives it to its workers
    settings = settings_of(config, TrainSettings)
    prepare(settings)  # the set is made, or was; what is measured is a start on what is there
    begun = time.perf_counter()
    prepared = prepare(settings)
    path = Path(root) / "environment.json"
    write_environment(path, prepared.spec)
    ready = time.perf_counter()
    load_environment(str(path))
    opened = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(config.actor_rollout_ref.model.path)
    bench = Bench(config, str(path), tokenizer, prepared.asked("train")[:64])
    return bench, ready - begun, opened - ready


def slow(env: TrainingEnv) -> TrainingEnv:
    """Return the environment with a search that waits as a remote one does."""

    async def search(query: str) -> str:
        """Search slowly.

        Args:
            query: What for.
        """
        await asyncio.sleep(TOOL_SECONDS)
        return f"nothing was found for {query}"

    tools = ToolBox([FunctionTool(search)])
    return env._replace(parts=env.parts._replace(toolbox=tools))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of which the median counts")
    parser.add_argument("--episodes", type=int, default=10_000, help="episodes for the memory")
    given, overrides = parser.parse_known_args()
    warnings.simplefilter("ignore")
    console, process = Console(), psutil.Process()
    with tempfile.TemporaryDirectory() as root:
        bench, ready, opened = open_bench(overrides, root)
        make = loops().get("uvloop", asyncio.new_event_loop)
        bench.step(AT_ONCE, make)
        runs = [bench.step(AT_ONCE, make) for _ in track(range(given.runs), "at once")]
        step = statistics.median(runs)
        nominal = (SEARCHES + 1) * TURN_SECONDS + SEARCHES * TOOL_SECONDS
        waited = statistics.median(
            bench.step(AT_ONCE, make, slow(load_environment(bench.path)), TURN_SECONDS)
            for _ in track(range(given.runs), "slow tools")
        )
        grown = []
        for _ in track(range(0, given.episodes, AT_ONCE), f"{given.episodes:,} episodes"):
            bench.step(AT_ONCE, make)
            grown.append(process.memory_info().rss / 1e6)
    table = Table("measure", "figure")
    rows = {
        f"{AT_ONCE} episodes of {SEARCHES + 1} turns, an engine that answers at once": (
            f"{step:.2f} s ({min(runs):.2f} to {max(runs):.2f})"
        ),
        "an episode": f"{1e3 * step / AT_ONCE:.2f} ms of one core",
        f"step of which that is {GOAL:.0%}, one agent worker, eight": (
            f"{step / GOAL:.0f} s, {step / GOAL / 8:.0f} s"
        ),
        f"turns of {TURN_SECONDS:g} s, tools of {TOOL_SECONDS:g} s: waits, and time": (
            f"{nominal:.2f} s, {waited:.2f} s ({waited / nominal - 1:.1%} more)"
        ),
        "memory after a tenth of the episodes, at the end": (
            f"{grown[len(grown) // 10]:.0f} MB, {grown[-1]:.0f} MB"
        ),
        "a start on a set that is there: prepare, open": f"{ready:.2f} s, {opened:.2f} s",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)


if __name__ == "__main__":
    main()
