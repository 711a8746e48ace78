"""Benchmarks as they are published, as rows of questions of one's own, all of them for tests.

Rows have the columns of `medenv.kg.questions.own`. A benchmark is never training data: each row
says ``"split": "test"``, and `medenv.kg.questions.benchmarks` refuses what is trained on all the
same.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from medenv.diagnosis.cases import age_in_words, anonymous_id
from medenv.errors import DataError, UnknownNameError
from medenv.io import DecodingError, decode_json, numbered_lines, read_text
from medenv.kg.questions.benchmarks import TITLES
from medenv.kg.questions.own import RowReader
from medenv.kg.sources.drugmechdb import mechanisms
from medenv.records import PATIENT, Passage, Question
from medenv.text import fold, joined, lowered, occurs

Row = dict[str, Any]
"""One question, in our columns."""

ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".yaml", ".yml")
"""Endings of the files that are read in a folder, gzipped or not."""

YES_NO = ["yes", "no"]


class Converted(NamedTuple):
    """A benchmark in our columns.

    Attributes:
        rows: The questions as rows.
        questions: The same questions as records, in the same order.
        passages: The passages that the benchmark brings along, by id; may be empty.
        left_out: Why other questions are not among them, to their number.
    """

    rows: list[Row]
    questions: tuple[Question, ...]
    passages: tuple[Passage, ...]
    left_out: dict[str, int]


class _Source(NamedTuple):
    """All records of a benchmark.

    Attributes:
        path: The file or folder.
        records: Its records, in order.
    """

    path: Path
    records: Sequence[Any]


_Reader = Callable[[Any, int], Row]
"""Turns a record and its number, from 1, into a row."""


class _LeftOutError(Exception):
    """A question that cannot be asked here."""


def convert(name: str, path: Path | str) -> Converted:
    """Read a benchmark.

    Args:
        name: One of `BENCHMARKS`.
        path: The file as it is published, or a folder whose files (`ENDINGS`) are read together.

    Raises:
        UnknownNameError: There is no such benchmark.
        DataError: A file cannot be read, or has another form.
    """
    if name not in BENCHMARKS:
        raise UnknownNameError("benchmark", name, BENCHMARKS)
    path = Path(path)
    found = [(file, line, one) for file in _files(path) for line, one in _records(file)]
    try:
        read = BENCHMARKS[name](_Source(path, [one for _, _, one in found]))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(path, f"expected records of {name} ({error!r})") from error
    rows, questions, left_out = list[Row](), list[Question](), Counter[str]()
    reader, ids = RowReader(path, {}), set[str]()
    for number, (file, line, record) in enumerate(found, 1):
        try:
            row = {"split": "test", **read(record, number)}
        except _LeftOutError as reason:
            left_out[str(reason)] += 1
            continue
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            problem = f"expected a question of {name}, got {str(record)[:80]} ({error!r})"
            raise DataError(file, problem, line) from error
        try:
            question, _ = reader.question(line, row, number)
        except DataError:
            left_out["options or answers that cannot be told apart, or none"] += 1
            continue
        if question.id in ids:
            left_out["an id that an earlier question has"] += 1
            continue
        ids.add(question.id)
        rows.append(row)
        questions.append(msgspec.structs.replace(question, split="test", source=TITLES[name]))
    if not rows:
        why = f" ({', '.join(left_out)})" if left_out else ""
        raise DataError(path, f"holds no question of {name}{why}")
    passages = tuple(reader.passages[one] for one in sorted(reader.passages))
    return Converted(rows, tuple(questions), passages, dict(sorted(left_out.items())))


def _files(path: Path) -> list[Path]:
    """Return a file, or the files of a folder in the order of their names."""
    if not path.is_dir():
        return [path]
    found = [
        one
        for one in sorted(path.rglob("*"))
        if one.is_file()
        and one.name.removesuffix(".gz").endswith(ENDINGS)
        and not one.name.endswith("_mapping.json")  # names of RareBench's ids, no questions
    ]
    if not found:
        raise DataError(path, f"expected files that end in {', '.join(ENDINGS)}, got none")
    return found


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield line and record: JSON lines, a JSON list or object of records, YAML, or a table."""
    if path.suffix == ".zip":
        yield from ((line, msgspec.to_builtins(one)) for line, one in mechanisms(path))
        return
    if path.suffix in (".yaml", ".yml"):
        yield from enumerate(_yaml(path), 1)
        return
    text = read_text(path)
    begin = text.lstrip()[:1]
    if begin not in ("{", "["):
        yield from enumerate(_table(path, text), 1)
        return
    try:
        whole = decode_json(text.encode(), object)
    except DecodingError:
        for number, line in numbered_lines(path):
            if line.strip():
                try:
                    yield number, decode_json(line.encode(), object)
                except DecodingError as error:
                    raise DataError(path, f"expected JSON: {error}", number) from error
        return
    if isinstance(whole, Mapping) and isinstance(whole.get("questions"), list):
        yield from enumerate(whole["questions"], 1)
    elif (
        isinstance(whole, Mapping)
        and whole
        and all(isinstance(one, Mapping) for one in whole.values())
    ):
        yield from enumerate(({"id": name, **one} for name, one in whole.items()), 1)
    else:
        yield from enumerate(whole if isinstance(whole, list) else [whole], 1)


def _yaml(path: Path) -> list[Any]:
    try:
        read = yaml.load(read_text(path), yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise DataError(path, f"expected YAML: {' '.join(str(error).split())}") from error
    return read if isinstance(read, list) else [read]


def _table(path: Path, text: str) -> Iterator[Any]:
    """Yield the rows of a table as objects where it has a header, else as lists."""
    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise DataError(path, f"expected JSON, or a table: {error}") from error
    head = [cell.strip() for cell in rows[0]] if rows else []
    if {"problem", "question", "prompt"} & {cell.lower() for cell in head}:
        yield from (dict(zip(head, row, strict=False)) for row in rows[1:] if any(row))
    else:
        yield from rows


def _each(read: _Reader) -> Callable[[_Source], _Reader]:
    """Return a format whose records are read one by one."""
    return lambda _: read


def _bioasq(record: Any, _: int) -> Row:
    kind, exact = record["type"], record.get("exact_answer")
    if kind == "summary" or not exact:
        raise _LeftOutError(f"{kind} without an exact answer")
    texts = [one["text"] for one in record.get("snippets") or ()]
    row = {"id": str(record["id"]), "question": record.get("body") or record["question"]}
    row |= {"passages": _told(texts)} if texts else {}
    if kind == "yesno":
        return {**row, "kind": "bioasq:yesno", "options": YES_NO, "answer": exact.strip().lower()}
    groups = [one if isinstance(one, list) else [one] for one in _listed(exact)]
    if kind == "list":
        answers = [{"name": names[0], "aliases": names[1:]} for names in groups]
        return {**row, "kind": "list:bioasq", "answers": answers}
    names = [name for group in groups for name in group]
    return {**row, "kind": "bioasq:factoid", "answer": names[0], "aliases": names[1:]}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _told(texts: Sequence[str]) -> list[str]:
    """Return the texts that have a word in them, each once."""
    return list(dict.fromkeys(text for text in texts if any(map(str.isalnum, text))))


def _pubmedqa(record: Any, _: int) -> Row:
    contexts = _told(record.get("CONTEXTS") or record.get("context", {}).get("contexts") or ())
    return {
        "id": str(record.get("id") or record["pubid"]),
        "question": (record.get("QUESTION") or record["question"]).strip(),
        "kind": "pubmedqa",
        "options": [*YES_NO, "maybe"],
        "answer": record.get("final_decision") or record["answer"],
        **({"passages": contexts} if contexts else {}),
    }


def _medqa(record: Any, number: int) -> Row:
    options = record["options"]
    row = {"question": record["question"], "kind": "medqa", "options": options}
    letter = record.get("answer_idx") or record["answer"]
    return {**row, "id": f"medqa:{number}", "answer": letter}


def _medmcqa(source: _Source) -> _Reader:
    numbers = {one.get("cop") for one in source.records if isinstance(one, Mapping)}
    first = 0 if 0 in numbers else 1  # the published file counts from 1, its mirrors from 0

    def read(record: Any, _: int) -> Row:
        if record.get("choice_type", "single") != "single" or record.get("cop") in (None, -1):
            raise _LeftOutError("several options are right, or none is given")
        return {
            "id": str(record["id"]),
            "question": record["question"],
            "kind": "medmcqa",
            "specialty": record.get("subject_name") or "",
            "options": [record[f"op{letter}"] for letter in "abcd"],
            "answer": "ABCD"[int(record["cop"]) - first],
        }

    return read


def _mmlu(record: Any, number: int) -> Row:
    if isinstance(record, Mapping):
        question, options, answer = record["question"], record["choices"], record["answer"]
        letter = answer if isinstance(answer, str) else "ABCD"[int(answer)]
    else:
        question, *options, letter = record
    if len(options) != 4 or letter not in "ABCD":
        raise ValueError(f"expected four options and a letter, got {len(options)} and {letter!r}")
    row = {"question": question, "kind": "mmlu", "options": options, "answer": letter}
    return {"id": f"mmlu:{number}", **row}


def _browsing(name: str, key: Callable[[str], bytes]) -> Callable[[_Source], _Reader]:
    """Return a format whose texts may be sealed: XORed with a key of the canary, in base 64."""

    def read(record: Any, number: int) -> Row:
        question = record.get("problem") or record.get("prompt") or record["question"]
        answer, canary = record["answer"], record.get("canary")
        if canary:
            question, answer = (_opened(text, key(canary)) for text in (question, answer))
        identity = str(record.get("id") or f"{name}:{number}")
        return {"id": identity, "question": question, "kind": name, "answer": answer}

    return _each(read)


def _hashed(canary: str) -> bytes:
    return hashlib.sha256(canary.encode()).digest()


def _opened(text: str, key: bytes) -> str:
    """Return a text that was XORed with a repeated key, in base 64."""
    return bytes(a ^ b for a, b in zip(base64.b64decode(text), cycle(key), strict=False)).decode()


def _gaia(record: Any, _: int) -> Row:
    if record.get("file_name"):
        raise _LeftOutError("a file belongs to the question")
    if record["Final answer"] == "?":  # the test questions of the leaderboard
        raise _LeftOutError("the answer is not published")
    return {
        "id": record["task_id"],
        "question": record["Question"],
        "kind": f"gaia:{record['Level']}",
        "answer": record["Final answer"],
    }


def _hle(record: Any, _: int) -> Row:
    if record.get("image"):
        raise _LeftOutError("an image belongs to the question")
    return {
        "id": record["id"],
        "question": record["question"],
        "kind": "hle",
        "specialty": record.get("category") or "",
        "answer": record["answer"],
    }


TARGETS = frozenset(("Protein", "GeneFamily", "MacromolecularComplex"))
"""Labels of DrugMechDB's nodes that a drug can act on as its target."""


def _drugmechdb(source: _Source) -> _Reader:
    """Ask for what drug and disease fix together: the target at the beginning of the path.

    Of several paths between one drug and one disease any target is right.
    """
    names: dict[str, dict[str, None]] = {}
    targets: dict[tuple[str, str], dict[str, None]] = {}
    for record in source.records:
        for node in record["nodes"]:
            names.setdefault(node["id"], {})[node["name"]] = None
        (drug, disease), labels = _ends(record), {n["id"]: n["label"] for n in record["nodes"]}
        direct = (one["target"] for one in record["links"] if one["source"] == drug["id"])
        kept = targets.setdefault((drug["id"], disease["id"]), {})
        kept |= dict.fromkeys(node for node in direct if labels.get(node) in TARGETS)
    seen: set[tuple[str, str]] = set()

    def read(record: Any, number: int) -> Row:
        drug, disease = _ends(record)
        pair = drug["id"], disease["id"]
        if pair in seen:
            raise _LeftOutError("another path between the same drug and disease")
        seen.add(pair)
        text = (
            f"By DrugMechDB's curated path, {lowered(drug['name'])} treats "
            f"{lowered(disease['name'])} by acting on a protein, a family of proteins or a "
            "complex of them. Which one does the drug act on directly? Name one if there are "
            "several."
        )
        answers = {
            fold(name): {"name": name, "aliases": others, "id": node}
            for node in targets[pair]
            for name, *others in [[*names[node]]]
        }
        if not answers:
            raise _LeftOutError("a path whose drug acts on no protein directly")
        if any(occurs(name, fold(text)) for name in answers):
            raise _LeftOutError("a target whose name the question would tell")
        identity = record.get("id") or record.get("graph", {}).get("_id") or number
        return {
            "id": f"drugmechdb:{identity}",
            "question": text,
            "kind": "drugmechdb",
            "answers": [*answers.values()],
        }

    return read


def _ends(record: Any) -> tuple[Any, Any]:
    """Return the drug at the beginning of a path and the disease at its end, as nodes."""
    nodes = record["nodes"]
    drug = next((node for node in nodes if node["label"] == "Drug"), nodes[0])
    diseases = [node for node in nodes if node["label"] == "Disease"]
    return drug, diseases[-1] if diseases else nodes[-1]


def _phenopackets(source: _Source) -> _Reader:
    """Tell the whole case: as GA4GH publishes it, or as the lines of `medenv.diagnosis`."""
    del source
    taken: set[str] = set()

    def read(record: Any, _: int) -> Row:
        case = _ga4gh(record) if "phenotypicFeatures" in record else record
        present = [name for _, name in case["observed"] if name]
        if not present:
            raise _LeftOutError("a case without a finding")
        if not case.get("disease_name"):
            raise _LeftOutError("a case without a diagnosis")
        return {
            "id": anonymous_id(case["id"], taken),
            "question": _case(
                present,
                [name for _, name in case.get("excluded") or () if name],
                (case.get("sex") or "").lower(),
                age_in_words(case.get("age") or ""),
            ),
            "kind": f"{PATIENT}:phenopackets",
            "answers": [{"name": case["disease_name"], "id": case["disease"]}],
        }

    return read


def _ga4gh(packet: Any) -> Row:
    """Return a phenopacket of GA4GH (schema 2) in the fields that `medenv.diagnosis` reads."""
    features: dict[bool, list[tuple[str, str]]] = {False: [], True: []}
    for one in packet["phenotypicFeatures"]:
        named = one["type"]["id"], one["type"].get("label", "")
        features[bool(one.get("excluded"))].append(named)
    interpreted = (one.get("diagnosis", {}) for one in packet.get("interpretations") or ())
    stated = (one["term"] for one in packet.get("diseases") or () if not one.get("excluded"))
    diseases = [one["disease"] for one in interpreted if "disease" in one] or list(stated)
    disease = diseases[0] if diseases else {"id": "", "label": ""}
    subject = packet.get("subject") or {}
    age = (subject.get("timeAtLastEncounter") or {}).get("age") or {}
    return {
        "id": packet["id"],
        "disease": disease["id"],
        "disease_name": disease.get("label", ""),
        "observed": features[False],
        "excluded": features[True],
        "sex": subject.get("sex"),
        "age": age.get("iso8601duration"),
    }


def _case(present: Sequence[str], absent: Sequence[str], sex: str = "", age: str = "") -> str:
    """Return the question about a patient of whom everything is told."""
    who = f"A {sex} patient" if sex in ("female", "male") else "A patient"
    who += f", {age}," if age else ""
    text = f"{who} has {joined([lowered(name) for name in present])}."
    if absent:
        text += f" Looked for and not found: {joined([lowered(name) for name in absent])}."
    return (
        f"{text} Give the diagnosis, or up to ten as a numbered list, the likeliest first: "
        "1. ... 2. ..."
    )


def _rarebench(source: _Source) -> _Reader:
    """Tell the findings of a case by the names in RareBench's own mappings."""
    findings, diseases = (_mapping(source.path, name) for name in ("phenotype", "disease"))
    spaces: dict[str, set[str]] = {}
    for identity, name in diseases.items():
        spaces.setdefault(name, set()).add(identity.partition(":")[0])

    def named(identity: str) -> list[str]:
        """Return the names of a disease: Orphanet's and OMIM's are joined by a slash."""
        name = diseases[identity]
        parts = name.split("/")
        joint = len(parts) == 2 and {"OMIM", "ORPHA"} <= spaces[name]
        return [*dict.fromkeys(parts)] if joint else [name]

    def read(record: Any, number: int) -> Row:
        if isinstance(record, Mapping):
            phenotypes, gold = record["Phenotype"], record["RareDisease"]
        else:
            phenotypes, gold = record
        present = [findings[one] for one in phenotypes if one in findings]
        known = {one: named(one) for one in gold if one in diseases}
        if not present or not known:
            raise _LeftOutError("a case whose findings or disease the mappings do not name")
        answers: dict[str, Row] = {}
        for identity, (name, *others) in known.items():
            answers.setdefault(fold(name), {"name": name, "aliases": others, "id": identity})
        return {
            "id": f"rarebench:{number}",
            "question": _case(present, ()),
            "kind": f"{PATIENT}:rarebench",
            "specialty": record.get("Department") or "" if isinstance(record, Mapping) else "",
            "answers": [*answers.values()],
        }

    return read


def _mapping(path: Path, what: str) -> dict[str, str]:
    """Return the names of RareBench's ids, from the file beside the cases or in ``mapping``."""
    folder, name = path if path.is_dir() else path.parent, f"{what}_mapping.json"
    places = (folder, folder / "mapping", folder.parent / "mapping")
    for place in places:
        if (place / name).is_file():
            text = read_text(place / name)
            try:
                return msgspec.json.decode(text, type=dict[str, str])
            except msgspec.MsgspecError as error:
                problem = f"expected an object of ids to names: {error}"
                raise DataError(place / name, problem) from error
    raise DataError(path, f"expected RareBench's {name} beside it or in a folder mapping, got none")


def _healthbench(record: Any, _: int) -> Row:
    turns = [(one["role"], one["content"].strip()) for one in record["prompt"]]
    if not turns or turns[-1][0] != "user":
        raise _LeftOutError("a conversation that does not end with the user")
    if len(turns) == 1:
        text = turns[0][1]
    else:
        said = "\n\n".join(f"{role}: {content}" for role, content in turns)
        text = f"Answer the user's last message in this conversation.\n\n{said}"
    rubric = [{"text": one["criterion"], "points": one["points"]} for one in record["rubrics"]]
    if not any(one["points"] > 0 for one in rubric):
        raise _LeftOutError("a rubric without points to reach")
    return {"id": record["prompt_id"], "question": text, "kind": "healthbench", "rubric": rubric}


BENCHMARKS: Mapping[str, Callable[[_Source], _Reader]] = {
    "bioasq": _each(_bioasq),
    "browsecomp": _browsing("browsecomp", _hashed),
    "drugmechdb": _drugmechdb,
    "gaia": _each(_gaia),
    "healthbench": _each(_healthbench),
    "hle": _each(_hle),
    "medbrowsecomp": _browsing("medbrowsecomp", _hashed),
    "medmcqa": _medmcqa,
    "medqa": _each(_medqa),
    "mmlu": _each(_mmlu),
    "phenopackets": _phenopackets,
    "pubmedqa": _each(_pubmedqa),
    "rarebench": _rarebench,
    "xbench": _browsing("xbench", str.encode),
}
"""How each benchmark is read; MedBrowseComp has the form of BrowseComp."""
