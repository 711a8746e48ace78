"""Question sets that are read instead of made: files, benchmarks, and several sets as one."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import msgspec

from medenv.errors import UsageError
from medenv.io import atomic_folder, digest, file_digest, write_json
from medenv.kg import read_own_questions, write_questions
from medenv.kg.questions.benchmarks import TITLES
from medenv.kg.questions.named import set_name
from medenv.kg.questions.published import convert
from medenv.kg.questions.sets import SPLITS, Contents, QuestionSet, is_question_set, write_contents
from medenv.kg.questions.store import leakage_certificate
from medenv.kg.questions.synthesis import QuestionsSettings
from medenv.records import Passage, Question
from medenv.retrieval import BM25Retriever
from medenv.retrieval.disk import read_passages

Say = Callable[[str], object]

MOST_TESTS = 300
"""Most questions of an own file that are set aside for tests without being asked for."""


def named_question_set(
    text: str, questions: QuestionsSettings, root: Path, say: Say
) -> QuestionSet:
    """Return a question set by its name; a file becomes a set where it is not one yet.

    Args:
        text: ``"FOLDER"`` of a question set, ``"FILE"`` of questions, or ``"BENCHMARK:PATH"``.
        questions: For a file of one's own: its columns and the number of test questions.
        root: Folder of everything that recipes write.
        say: Receives a description of each step.

    Raises:
        UnknownNameError: No benchmark has that name.
        DataError: A file is missing or is no question set.
    """
    benchmark, path = set_name(text)
    if benchmark:
        return _published_set(benchmark, path, root, say)
    if path.is_file():
        return own_question_set(msgspec.structs.replace(questions, path=text), root, say)
    return QuestionSet.open(path)


def own_question_set(questions: QuestionsSettings, root: Path, say: Say) -> QuestionSet:
    """Return the question set of a file of one's own questions; it is made where it is missing.

    Without a column ``split``, `questions.n_test` questions are set aside for tests, by default a
    fifth of them and at most `MOST_TESTS`.

    Args:
        questions: Names the file, its columns, and the number of test questions.
        root: Folder of everything that recipes write.
        say: Receives a description of each step.

    Raises:
        DataError: The file cannot be read, or a question in it is wrong.
    """
    path = Path(questions.path or "")
    made_with = {
        "file": file_digest(path),
        "columns": questions.columns,
        "n_test": questions.n_test,
        "seed": questions.seed,
    }
    folder = root / f"questions-{path.stem}-{digest(made_with, 8)}"
    if is_question_set(folder):
        return QuestionSet.open(folder)
    say(f"reading {path}")
    own = read_own_questions(path, questions.columns)
    if not any(question.split == "test" for question in own.questions):
        n_test = questions.n_test
        if n_test is None:
            n_test = min(len(own.questions) // 5, MOST_TESTS)
        own = read_own_questions(path, questions.columns, n_test, questions.seed)
    return _written(folder, own.questions, own.passages, path.name, made_with, say)


def _published_set(name: str, path: Path, root: Path, say: Say) -> QuestionSet:
    """Return the question set of a published benchmark; it is made where it is missing."""
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    made_with = {"benchmark": name, "files": [file_digest(one) for one in files]}
    folder = root / f"questions-{name}-{digest(made_with, 8)}"
    if is_question_set(folder):
        return QuestionSet.open(folder)
    say(f"reading {TITLES[name]} from {path}")
    found = convert(name, path)
    for reason, count in found.left_out.items():
        say(f"left out of {TITLES[name]}, {reason}: {count:,}")
    return _written(folder, found.questions, found.passages, TITLES[name], made_with, say)


def _written(
    folder: Path,
    questions: Sequence[Question],
    passages: Sequence[Passage],
    source: str,
    made_with: dict[str, Any],
    say: Say,
) -> QuestionSet:
    """Write questions and the index of their passages as a question set."""
    splits = {split: [q for q in questions if q.split == split] for split in SPLITS}
    leakage = leakage_certificate(*splits.values())
    with atomic_folder(folder, existing="keep") as built:
        for split, asked in splits.items():
            write_questions(built / f"{split}.jsonl", asked, sealed=split == "test")
        write_json(built / "leakage.json", leakage)
        if passages:
            say(f"indexing {len(passages):,} passages")
            BM25Retriever(passages).save(built / "corpus")
        contents = Contents(
            source=source,
            questions={split: len(asked) for split, asked in splits.items()},
            shared=leakage.shared,
            passages=len(passages),
            made_with=made_with,
        )
        write_contents(built, contents)
    return QuestionSet.open(folder)


def combined_question_set(questions: QuestionsSettings, root: Path, say: Say) -> QuestionSet:
    """Return several question sets as one; it is made where it is missing.

    Ids begin with the name of the set that a question came from, which `Question.question_set`
    keeps. The sets take turns, so that the first questions are of all of them. The corpus is that
    of all sets together; the graph is kept where all that have one have the same.

    Args:
        questions: Names the sets in `sets`; its other fields are for files of one's own.
        root: Folder of everything that recipes write.
        say: Receives a description of each step.

    Raises:
        UnknownNameError: No benchmark has that name.
        DataError: A file is missing or is no question set.
        UsageError: A set is there twice, or two sets have different passages under one id.
    """
    if questions.world != "true":
        raise UsageError(
            f"questions.world={questions.world} needs one question set with a graph, got "
            f"{len(questions.sets)} sets: name one, or leave questions.world=true"
        )
    if len(questions.sets) == 1:
        only = msgspec.structs.replace(questions, sets=(), path=questions.sets[0])
        return named_question_set(questions.sets[0], only, root, say)
    members = [
        named_question_set(text, msgspec.structs.replace(questions, sets=(), path=text), root, say)
        for text in questions.sets
    ]
    named = dict(zip(_short_names(questions.sets), members, strict=True))
    made_with = {
        "sets": {
            name: [file_digest(one.folder / f"{split}.jsonl") for split in SPLITS]
            for name, one in named.items()
        },
        "passages": [read_passages(one.corpus)[1] for one in members if one.corpus],
        "graphs": [one.contents.graph for one in members],
    }
    folder = root / f"questions-{'-'.join(named)[:60]}-{digest(made_with, 8)}"
    if is_question_set(folder):
        return QuestionSet.open(folder)
    say(f"combining {len(named)} question sets")
    splits = {split: _in_turn(named, split) for split in SPLITS}
    leakage = leakage_certificate(*splits.values())
    graphs = {one.contents.graph: one for one in members if one.graph}
    with_graph = next(iter(graphs.values())) if len(graphs) == 1 else None
    with atomic_folder(folder, existing="keep") as built:
        for split, asked in splits.items():
            write_questions(built / f"{split}.jsonl", asked, sealed=split == "test")
        write_json(built / "leakage.json", leakage)
        passages = _join_corpora(members, built / "corpus", say)
        if with_graph is not None and with_graph.graph is not None:
            shutil.copytree(with_graph.graph, built / "graph")
        of_graph = (
            with_graph.contents if with_graph is not None else Contents(questions={}, shared={})
        )
        contents = msgspec.structs.replace(
            of_graph,
            source=", ".join(named),
            questions={split: len(asked) for split, asked in splits.items()},
            shared=leakage.shared,
            licence=_joined(one.contents.licence for one in members),
            acknowledgement=_joined(one.contents.acknowledgement for one in members),
            passages=passages,
            made_with=made_with,
        )
        write_contents(built, contents)
    return QuestionSet.open(folder)


def _short_names(texts: Sequence[str]) -> list[str]:
    """Return a name for each set; two of one name are told apart by their files."""
    found = [set_name(text) for text in texts]
    paths = Counter((one.benchmark, one.path.resolve()) for one in found)
    for text, one in zip(texts, found, strict=True):
        if paths[one.benchmark, one.path.resolve()] > 1:
            raise UsageError(f"questions names the set {text!r} twice: name it once")
    shorts = Counter(one.short for one in found)
    names: list[str] = []
    for one in found:
        stem = one.path.name.partition(".")[0]
        name = one.short if shorts[one.short] == 1 else f"{one.short}-{stem}"
        times = sum(other == name or other.startswith(f"{name}~") for other in names)
        names.append(f"{name}~{times + 1}" if times else name)
    return names


def _in_turn(named: Mapping[str, QuestionSet], split: str) -> list[Question]:
    """Return the questions of a split of all sets, one of each set after the other."""
    columns = [
        [
            msgspec.structs.replace(
                one,
                id=f"{name}/{one.id}",
                origin=f"{name}/{one.origin}" if one.origin else msgspec.UNSET,
                question_set=name,
            )
            for one in member.questions(split)
        ]
        for name, member in named.items()
    ]
    return [one for one in chain.from_iterable(zip_longest(*columns)) if one is not None]


def _join_corpora(members: Sequence[QuestionSet], target: Path, say: Say) -> int:
    """Write the corpus of all sets together, and return the number of its passages."""
    stores = {
        sha: (one.corpus, store)
        for one in members
        if one.corpus
        for store, sha in [read_passages(one.corpus)]
    }
    if len(stores) == 1:
        ((corpus, store),) = stores.values()
        shutil.copytree(corpus, target)
        return len(store)
    kept: dict[str, Passage] = {}
    for passage in chain.from_iterable(store for _, store in stores.values()):
        if kept.setdefault(passage.id, passage) != passage:
            raise UsageError(
                f"two of the question sets have different passages with the id {passage.id!r}: "
                "evaluate them one by one"
            )
    if kept:
        say(f"indexing {len(kept):,} passages")
        BM25Retriever([*kept.values()]).save(target)
    return len(kept)


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))
