"""The scripted episode of the benchmarks: search, search, answer, over the same three passages."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Sequence

from medenv.build.environment import Parts, make_parts
from medenv.envs.env import MedResearchEnv
from medenv.records import Passage, Question

Clock = Callable[[], float]
PASSAGES = [
    Passage(id=f"P:{i}#0", title=f"Passage {i}", text=f"sentence {i} " * 100) for i in range(3)
]
FOUND = [(one, 1.0) for one in PASSAGES]


class Canned:
    """A retriever that always finds the same passages."""

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return the passages."""
        return [FOUND[:k]] * len(queries)

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id."""
        return next((one for one in PASSAGES if one.id == passage_id), None)


def script(parts: Parts, question: Question) -> list[str]:
    """Return the three texts of the episode."""
    write = parts.rules.dialect
    first = write.write_call("search", {"query": question.subject.name})
    second = write.write_call("search", {"query": f"gene of {question.subject.name}"})
    return [first, second, write.write_answer(question.answers[0].name)]


def steps_per_second(
    env: MedResearchEnv, episodes: Sequence[Sequence[str]], clock: Clock = time.perf_counter
) -> float:
    """Play the texts of whole episodes, with full trajectories and component scores."""
    begun = clock()
    for texts in episodes:
        env.reset(options={"question": 0})
        for text in texts:
            _, _, over, _, info = env.step(text)
        if not over or not info["score"].parts:
            raise SystemExit("the episode did not end with a score of components")
    return sum(map(len, episodes)) / (clock() - begun)


def bytes_per_episode(parts: Parts, count: int = 1000) -> float:
    """Return the memory of a live episode that has been shown two results."""
    envs = [parts.env() for _ in range(count)]
    texts = script(parts, parts.questions[0])
    gc.collect()
    tracemalloc.start()
    for env in envs:
        env.reset(options={"question": 0})
        for text in texts[:2]:
            env.step(text)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / count


def plain_env() -> tuple[MedResearchEnv, list[str]]:
    """Return an environment whose retriever costs nothing, and the texts of the episode."""
    parts = make_parts(corpus=Canned(), env_id="medenv/Research-v0", budget={"turns": 16})
    env = parts.env()
    env.reset(seed=0)
    return env, script(parts, parts.questions[0])
