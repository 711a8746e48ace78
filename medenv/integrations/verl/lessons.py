"""What a new policy is taught: stages of scripted teachers' episodes and of reading.

Tokenizer and lessons see the training split alone: no episode of a held-out question, and no
document of an entity on a held-out gold path.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig
from transformers import AutoTokenizer

from medenv.build.environment import Parts, make_dialect
from medenv.build.prepare import Prepared, open_environment, prepare
from medenv.build.settings import SftSettings
from medenv.episodes.episode import Episode
from medenv.errors import UnknownNameError, UsageError
from medenv.integrations.hf.tiny_policy import TURN_END, write_new_policy
from medenv.integrations.hydra.identity import FREE_IN_SFT, claim, identity
from medenv.io import whole_path, write_json
from medenv.kg import Graph
from medenv.kg.questions.synthesis import Progress
from medenv.records import Entity, Passage, Question, Trajectory
from medenv.retrieval import BM25Retriever
from medenv.rollouts.policies import Guesser, Oracle, Teacher, Wanderer
from medenv.trajectories.renaming import Renamer
from medenv.trajectories.sft import Encode, SFTExample, grounded, lesson, taught

PREVIEW_CHARS = 200
"""How much of a passage the tokenizer sees, characters."""

READING_CHARS, READING_TOKENS = 110, 400
"""How much of a passage is read, characters, and the longest reading, tokens."""

MATERIALS = ("episodes", "reading")
"""What a stage can be taught from."""

HELD_OUT = "held_out.json"
"""The file in a taught policy's folder that says what it was not taught."""

TOKENIZER_EPISODES = 6_000
"""How many episodes the tokenizer sees."""


class School(NamedTuple):
    """What all stages share.

    Attributes:
        folder: The run's folder.
        settings: The run's settings.
        prepared: The question set and the environment.
        parts: The environment with the training questions.
    """

    folder: Path
    settings: SftSettings
    prepared: Prepared
    parts: Parts


def open_school(config: DictConfig, settings: SftSettings, progress: Progress) -> School:
    """Make what teaching needs, or find it made.

    Args:
        config: The composed config.
        settings: What of it is ours.
        progress: Receives steps and counts.

    Raises:
        OtherSettingsError: The folder holds a run with other settings.
    """
    folder = Path(settings.root) / settings.run
    for stage in settings.lessons.stages:
        if stage.material not in MATERIALS:
            raise UnknownNameError("material", stage.material, MATERIALS)
    prepared = prepare(settings, progress, n=settings.n)
    about = identity(config, (*FREE_IN_SFT, "policy"))  # which is where the result goes
    claim(folder, about, begun=(folder / "new_policy").exists())
    parts = open_environment(prepared.spec, prepared.asked("train")).parts
    return School(folder, settings, prepared, parts)


def prepare_stage(school: School, number: int, step: Callable[[str], object]) -> Counter[str]:
    """Write a stage's lessons, and before the first stage the new policy, unless they are there.

    Tokenizer and lessons see the training split alone: no episode of a held-out question, and no
    document of an entity on a held-out gold path.

    Args:
        school: What all stages share.
        number: Number of the stage, from 0.
        step: Receives a description of each step.

    Returns:
        Number of lessons by teacher, and of episodes that were left out; empty when reused.
    """
    path, policy = stage_folder(school, number) / "lessons.parquet", school.folder / "new_policy"
    if path.exists():
        return Counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    stage = school.settings.lessons.stages[number]
    if not policy.exists():
        step("training the tokenizer")
        write_new_policy(policy, school.settings.tiny, _texts(school))
    if stage.material == "reading":
        step("writing what is to be read")
        _write(path, _reading(school, number))
        return Counter({"reading": stage.examples})
    step("letting the teachers play")
    episodes, counts = _episodes(school, number, stage.examples)
    step("writing the lessons")
    encode, rules = _encoder(school), school.parts.rules
    _write(
        path,
        [
            lesson(name, one, Episode(one.question, rules).prompt(), encode, TURN_END)
            for name, one in episodes
        ],
    )
    return counts


def write_held_out(school: School, policy: Path) -> None:
    """Write beside a taught policy what it was not taught: answers and topics held out.

    Args:
        school: What all stages share.
        policy: The policy's folder.
    """
    questions = school.prepared.asked("test")
    known = {
        "source": school.prepared.questions.contents.source,
        "answers": sorted({entity.id for question in questions for entity in question.answers}),
        "topics": sorted({question.subject.id for question in questions}),
    }
    write_json(policy / HELD_OUT, known)


def _encoder(school: School) -> Encode:
    tokenizer = AutoTokenizer.from_pretrained(school.folder / "new_policy")

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids

    return encode


def stage_folder(school: School, number: int) -> Path:
    """Return the folder of a stage."""
    return school.folder / f"stage-{number}"


def _episodes(
    school: School, number: int, n: int
) -> tuple[list[tuple[str, Trajectory]], Counter[str]]:
    """Let the teachers play, leave out what is not worth imitating, rename the stage's share."""
    settings, parts = school.settings.lessons, school.parts
    stage, seed = settings.stages[number], settings.seed + 3
    entities = _gold_entities(school)
    teachers = _teachers(school, stage.guess)
    renamer = Renamer(entities.values())
    kept, counts = [], Counter[str]()
    played = taught(
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


def _reading(school: School, number: int) -> list[SFTExample]:
    """Passages along the gold paths of training questions, renamed and shown twice over.

    What stands there a second time can be predicted by looking back, and by nothing else.
    """
    questions, seed = school.parts.questions, school.settings.lessons.seed + 5000
    stage = school.settings.lessons.stages[number]
    entities, encode = _gold_entities(school), _encoder(school)
    renamer, documents = Renamer(entities.values()), defaultdict[str, list[Passage]](list)
    for passage in _passages(school.parts):
        documents[passage.entity].append(passage)
    lessons = []
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
        ids = encode("\n".join(lines[int(at)] for at in order))[:READING_TOKENS]
        lessons.append(SFTExample(input_ids=ids, loss_mask=[1] * len(ids), teacher="reading"))
    return lessons


def _teachers(school: School, guess: float | None) -> dict[str, tuple[float, Teacher]]:
    settings = school.settings.lessons
    guess = settings.guess if guess is None else guess
    dialect, seed = make_dialect(school.settings.env.dialect), settings.seed
    names = {passage.entity: passage.title for passage in _passages(school.parts)}
    answers = _answers(school.parts.questions)
    oracle = Oracle(names, dialect)
    return {
        "oracle": (settings.oracle, oracle),
        "guess": (guess, Guesser(answers, dialect, seed=seed + 1)),
        "wander": (settings.wander, Wanderer(oracle, answers, seed=seed + 2)),
    }


def _gold_entities(school: School) -> dict[str, Entity]:
    """All entities on the gold paths of the training questions, by id."""
    if school.prepared.spec.graph is None:
        raise UsageError("a new policy is taught along the paths of a graph: set graph=...")
    graph = Graph.load(school.prepared.spec.graph)
    paths = (question.proof.path for question in school.parts.questions)
    ids = {entity for path in paths for hop in path for entity in (hop.head, hop.tail)}
    return {entity: graph.entity(graph.number(entity)) for entity in sorted(ids)}


def _passages(parts: Parts) -> Iterable[Passage]:
    if not isinstance(parts.retriever, BM25Retriever):
        raise UsageError("teaching needs env.retriever=bm25 and a tool that searches")
    return parts.retriever.passages


def _answers(questions: tuple[Question, ...]) -> list[Entity]:
    return list({entity.id: entity for q in questions for entity in q.answers}.values())


def _texts(school: School) -> Iterator[str]:
    """What the tokenizer is trained on: a quarter of the training documents, and episodes."""
    stages = school.settings.lessons.stages
    played = [k for k, one in enumerate(stages) if one.material == "episodes"]
    if not played:
        raise UsageError(
            "a new policy needs a stage of material=episodes: its tokenizer reads them"
        )
    episodes, _ = _episodes(school, played[0], TOKENIZER_EPISODES)
    held_out = {
        entity
        for question in school.prepared.asked("test")
        for hop in question.proof.path
        for entity in (hop.head, hop.tail)
    }
    seen = (passage for passage in _passages(school.parts) if passage.entity not in held_out)
    for passage in islice(seen, None, None, 4):
        yield f"{passage.title}: {passage.text[:PREVIEW_CHARS]}"
    for _, one in episodes:
        turns = (
            f"<|im_start|>assistant\n{turn.text}<|im_start|>tool\n{turn.observation}"
            for turn in one.turns
        )
        yield f"<|im_start|>user\n{one.question.text}" + "\n".join(turns)


def _write(path: Path, lessons: list[SFTExample]) -> None:
    columns = {
        name: [getattr(one, name) for one in lessons] for name in SFTExample.__struct_fields__
    }
    with whole_path(path) as partial:
        pq.write_table(pa.table(columns), partial)
