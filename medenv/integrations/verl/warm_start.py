"""A new tiny policy: its tokenizer, and the examples of each stage of its training.

    outputs/<run>/
      new_policy/           tokenizer and untrained weights
      stage-<k>/            see `medenv.integrations.verl.sft`, and
        lessons.parquet     token ids and exact loss masks

Stages are of scripted teachers' episodes or of reading. Tokenizer and examples see the training
split alone: no episode of a held-out question, and no document of an entity on a held-out gold
path.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig

from medenv.build.environment import Parts, make_dialect
from medenv.build.prepare import Prepared, open_environment, prepare
from medenv.build.settings import SftSettings
from medenv.errors import UnknownNameError, UsageError
from medenv.integrations.hf.chat_tokens import ChatTokens, open_tokenizer
from medenv.integrations.hf.tiny_policy import write_new_policy
from medenv.integrations.hydra.identity import FREE_IN_SFT, claim, identity
from medenv.integrations.verl.sft import SFTRun, write_examples
from medenv.io import write_json
from medenv.kg import Graph
from medenv.kg.questions.synthesis import Progress
from medenv.records import Entity, Passage, Policy, Question, Trajectory
from medenv.retrieval import BM25Retriever
from medenv.rollouts.policies import Teacher
from medenv.trajectories.exports import messages_of
from medenv.trajectories.renaming import Renamer
from medenv.trajectories.sft import SFTExample, grounded, teacher_episodes
from medenv.trajectories.teachers import Guesser, Oracle, Wanderer

PREVIEW_CHARS = 200
"""How much of a passage the tokenizer sees, characters."""

READING_CHARS, READING_TOKENS = 110, 400
"""How much of a passage is read, characters, and the longest reading, tokens."""

MATERIALS = ("episodes", "reading")
"""What a stage can learn from."""

HELD_OUT = "held_out.json"
"""The file in the policy's folder that names the entities held out."""

TOKENIZER_EPISODES = 6_000
"""How many episodes the tokenizer sees."""


class WarmStart(NamedTuple):
    """The training of a new policy on teachers' episodes.

    Attributes:
        run: Its folder and stages.
        prepared: The question set and the environment.
        parts: The environment with the training questions.
    """

    run: SFTRun
    prepared: Prepared
    parts: Parts


def open_warm_start(config: DictConfig, settings: SftSettings, progress: Progress) -> WarmStart:
    """Make what the training of a new policy needs, or find it made.

    Args:
        config: The composed config.
        settings: What of it is ours.
        progress: Receives steps and counts.

    Raises:
        OtherSettingsError: The folder holds a run with other settings.
    """
    folder, stages = Path(settings.root) / settings.run, settings.lessons.stages
    for stage in stages:
        if stage.material not in MATERIALS:
            raise UnknownNameError("material", stage.material, MATERIALS)
    prepared = prepare(settings, progress, n=settings.n)
    about = identity(config, (*FREE_IN_SFT, "policy"))  # which is where the result goes
    new_policy = folder / "new_policy"
    claim(folder, about, begun=new_policy.exists())
    parts = open_environment(prepared.spec, prepared.for_training()).parts
    examples = tuple(folder / f"stage-{k}" / "lessons.parquet" for k in range(len(stages)))
    steps = tuple(stage.steps for stage in stages)
    run = SFTRun(folder, settings, str(new_policy), examples, steps)
    return WarmStart(run, prepared, parts)


def prepare_stage(
    warm_start: WarmStart, number: int, step: Callable[[str], object]
) -> Counter[str]:
    """Write a stage's examples, and before the first stage the new policy, unless they are there.

    Args:
        warm_start: The training.
        number: Number of the stage, from 0.
        step: Receives a description of each step.

    Returns:
        Number of examples by teacher, and of episodes that were left out; empty when reused.
    """
    run = warm_start.run
    path, policy, stage = run.examples[number], Path(run.start), run.stages[number]
    if path.exists():
        return Counter()
    if not policy.exists():
        step("training the tokenizer")
        write_new_policy(policy, run.settings.tiny, _texts(warm_start))
    chat = ChatTokens(open_tokenizer(run.start))
    if stage.material == "reading":
        step("writing what is to be read")
        write_examples(path, _reading(warm_start, number, chat))
        return Counter({"reading": stage.examples})
    step("letting the teachers play")
    episodes, counts = _episodes(warm_start, number, stage.examples)
    step("writing the examples")
    rules = warm_start.parts.rules
    write_examples(
        path,
        [chat.stream(messages_of(one, rules), teacher=name) for name, one in episodes],
    )
    return counts


def write_held_out(warm_start: WarmStart, policy: Path) -> None:
    """Write the answers and topics held out beside a policy.

    Args:
        warm_start: The training.
        policy: The policy's folder.
    """
    questions = warm_start.prepared.asked("test")
    known = {
        "source": warm_start.prepared.questions.contents.source,
        "answers": sorted({entity.id for question in questions for entity in question.answers}),
        "topics": sorted({question.subject.id for question in questions}),
    }
    write_json(policy / HELD_OUT, known)


def _episodes(
    warm_start: WarmStart, number: int, n: int
) -> tuple[list[tuple[str, Trajectory]], Counter[str]]:
    """Let the teachers play, leave out what is not worth imitating, rename the stage's share."""
    settings, parts = warm_start.run.settings.lessons, warm_start.parts
    stage, seed = settings.stages[number], settings.seed + 3
    entities = _gold_entities(warm_start)
    teachers = _teachers(warm_start, stage.guess)
    renamer = Renamer(entities.values())
    kept, counts = [], Counter[str]()
    played = teacher_episodes(
        *(parts.rollouts(), parts.questions, teachers),
        n=n,
        seed=seed + 1000 * number,
    )
    for i, (name, scored) in enumerate(played):
        one = scored.trajectory
        if name == "oracle" and not grounded(one):
            counts["left out: the passages did not show the answer"] += 1
            continue
        rng = np.random.default_rng([seed + 2000 * number, i])
        if stage.renamed and rng.random() < stage.renamed:
            one = renamer.rename(one, entities, rng)
            counts["of these with invented names"] += 1
        counts[name] += 1
        kept.append((name, one))
    return kept, counts


def _reading(warm_start: WarmStart, number: int, chat: ChatTokens) -> list[SFTExample]:
    """Passages along the gold paths of training questions, renamed and shown twice over.

    What stands there a second time can be predicted by looking back, and by nothing else.
    """
    questions, seed = warm_start.parts.questions, warm_start.run.settings.lessons.seed + 5000
    stage = warm_start.run.settings.lessons.stages[number]
    entities = _gold_entities(warm_start)
    renamer, documents = Renamer(entities.values()), defaultdict[str, list[Passage]](list)
    for passage in _passages(warm_start.parts):
        documents[passage.entity].append(passage)
    examples = []
    for i in range(stage.examples):
        rng = np.random.default_rng([seed, i])
        question = questions[int(rng.integers(len(questions)))]
        swap = renamer.swap(question, entities, rng)
        path = question.proof.path
        lines = [
            swap(f"{passage.title}: {passage.text[:READING_CHARS].rsplit(' ', 1)[0]}")
            for entity in dict.fromkeys([path[0].head, *(hop.tail for hop in path)])
            for passage in documents[entity][:2]
            if passage.id.endswith("#0") or rng.random() < 0.3
        ]
        order = [*rng.permutation(len(lines)), *rng.permutation(len(lines))]
        ids = chat.encode("\n".join(lines[int(at)] for at in order))[:READING_TOKENS]
        examples.append(SFTExample(input_ids=ids, loss_mask=[1] * len(ids), teacher="reading"))
    return examples


def _teachers(
    warm_start: WarmStart, guess: float | None
) -> dict[str, tuple[float, Teacher[Policy]]]:
    settings = warm_start.run.settings.lessons
    guess = settings.guess if guess is None else guess
    dialect, seed = make_dialect(warm_start.run.settings.env.dialect), settings.seed
    names = {passage.entity: passage.title for passage in _passages(warm_start.parts)}
    answers = _answers(warm_start.parts.questions)
    oracle = Oracle(names, dialect)
    return {
        "oracle": (settings.oracle, oracle),
        "guess": (guess, Guesser(answers, dialect, seed=seed + 1)),
        "wander": (settings.wander, Wanderer(oracle, answers, seed=seed + 2)),
    }


def _gold_entities(warm_start: WarmStart) -> dict[str, Entity]:
    """All entities on the gold paths of the training questions, by id."""
    saved = warm_start.prepared.spec.graph
    if saved is None:
        raise UsageError("a new policy is taught along the paths of a graph: set graph=...")
    graph = Graph.load(saved)
    paths = (question.proof.path for question in warm_start.parts.questions)
    ids = {entity for path in paths for hop in path for entity in (hop.head, hop.tail)}
    return {entity: graph.entity(graph.number(entity)) for entity in sorted(ids)}


def _passages(parts: Parts) -> Iterable[Passage]:
    if not isinstance(parts.retriever, BM25Retriever):
        raise UsageError("teaching needs env.retriever=bm25 and a tool that searches")
    return parts.retriever.passages


def _answers(questions: tuple[Question, ...]) -> list[Entity]:
    return list({entity.id: entity for q in questions for entity in q.answers}.values())


def _texts(warm_start: WarmStart) -> Iterator[str]:
    """What the tokenizer is trained on: a quarter of the training documents, and episodes."""
    stages = warm_start.run.settings.lessons.stages
    played = [k for k, one in enumerate(stages) if one.material == "episodes"]
    if not played:
        raise UsageError(
            "a new policy needs a stage of material=episodes: its tokenizer reads them"
        )
    episodes, _ = _episodes(warm_start, played[0], TOKENIZER_EPISODES)
    held_out = {
        entity
        for question in warm_start.prepared.asked("test")
        for hop in question.proof.path
        for entity in (hop.head, hop.tail)
    }
    seen = (passage for passage in _passages(warm_start.parts) if passage.entity not in held_out)
    for passage in islice(seen, None, None, 4):
        yield f"{passage.title}: {passage.text[:PREVIEW_CHARS]}"
    for _, one in episodes:
        turns = (
            f"<|im_start|>assistant\n{turn.text}<|im_start|>tool\n{turn.observation}"
            for turn in one.turns
        )
        yield f"<|im_start|>user\n{one.question.text}" + "\n".join(turns)
