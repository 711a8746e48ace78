"""Sets on disk: killed at any moment, begun again, they come out the same; nothing twice."""

import json
import signal
import subprocess
import sys
import time
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from medenv.build.settings import CorpusSettings, GraphSettings, QuestionsSettings
from medenv.errors import DataError, NoCertificateError, UsageError
from medenv.io import FolderInUseError, FolderLock, Journal, read_records
from medenv.llm.endpoint import EndpointSettings
from medenv.trajectories.collector import Plan
from medenv.trajectories.exports import Chat, Preference
from medenv.trajectories.records import Rollout
from medenv.trajectories.run import make_trajectories
from medenv.trajectories.settings import TeacherSettings, TrajectorySettings

from .conftest import settings

FILES = ("trajectories.jsonl", "chat.jsonl", "preferences.jsonl", "card.json", "README.md")


def contents(folder: str) -> dict[str, bytes]:
    return {name: (Path(folder) / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def made(root: Path) -> TrajectorySettings:
    wanted = settings(root, folder=str(root / "made"))
    make_trajectories(wanted)
    return wanted


def test_a_set_has_its_parts_in_the_stated_ratio_and_no_leak(made: TrajectorySettings) -> None:
    card = json.loads((Path(made.folder) / "card.json").read_text())
    assert card["parts"] == {"exploration": 2, "guided": 6}
    assert card["leaks"] == 0
    assert card["pairs"] > 0
    assert 0.02 < card["failed_calls"] < 0.5
    kept = list(read_records(Path(made.folder) / "trajectories.jsonl", Rollout))
    assert len({one.i for one in kept}) == 8
    assert all(one.scored.score.parts["accuracy"].raw == 1.0 for one in kept)
    assert card["calls"]["mean"] == round(sum(one.calls for one in kept) / 8, 2)


def test_the_card_is_a_page_with_figures(made: TrajectorySettings) -> None:
    folder = Path(made.folder)
    page = (folder / "README.md").read_text()
    for name in ("specialties", "hops", "calls", "tools"):
        assert f"({name}.png)" in page
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "Leaks found in the set: 0." in page
    assert "every name is invented" in page


def test_chat_lines_hold_the_episode_and_say_what_to_learn(made: TrajectorySettings) -> None:
    kept = list(read_records(Path(made.folder) / "trajectories.jsonl", Rollout))
    chats = list(read_records(Path(made.folder) / "chat.jsonl", Chat))
    assert [chat.question for chat in chats] == [one.scored.trajectory.question.id for one in kept]
    for chat, one in zip(chats, kept, strict=True):
        trajectory = one.scored.trajectory
        roles = [message["role"] for message in chat.messages]
        assert roles[:2] == ["system", "user"]
        assert roles[2:] == ["assistant", "tool"] * (len(trajectory.turns) - 1) + ["assistant"]
        said = [m["content"] for m in chat.messages if m["role"] == "assistant"]
        assert said == [turn.text for turn in trajectory.turns]
        learned = [role for role, learn in zip(roles, chat.learn, strict=True) if learn]
        refused = sum(any(r.status == "bad_call" for r in t.results) for t in trajectory.turns)
        assert learned == ["assistant"] * (len(trajectory.turns) - refused)


def test_a_pair_shares_its_prompt_and_ends_in_another_answer(made: TrajectorySettings) -> None:
    pairs = list(read_records(Path(made.folder) / "preferences.jsonl", Preference))
    for pair in pairs:
        assert [message["role"] for message in pair.prompt] == ["system", "user"]
        assert pair.chosen[-1]["content"] != pair.rejected[-1]["content"]
        assert pair.reason in ("wrong answer", "evidence not shown", "a repeated call")


def test_the_same_settings_give_the_same_bytes(made: TrajectorySettings, root: Path) -> None:
    again = msgspec.structs.replace(
        made,
        folder=str(root / "again"),
        plan=msgspec.structs.replace(made.plan, concurrency=5),
    )
    make_trajectories(again)
    assert contents(again.folder) == contents(made.folder)


def test_a_larger_number_extends_a_set(made: TrajectorySettings, root: Path) -> None:
    folder = str(root / "grown")
    small = msgspec.structs.replace(made.plan, n=3)
    make_trajectories(msgspec.structs.replace(made, folder=folder, plan=small))
    before = (Path(folder) / "rollouts.jsonl").read_bytes()
    make_trajectories(msgspec.structs.replace(made, folder=folder))
    assert (Path(folder) / "rollouts.jsonl").read_bytes().startswith(before)
    assert contents(folder) == contents(made.folder)


def test_a_set_whose_questions_are_used_up_goes_on_with_more_of_them(
    made: TrajectorySettings, root: Path
) -> None:
    def asking(n: int, seed: int = made.questions.seed) -> TrajectorySettings:
        folder = str(root / f"growing questions {seed}")
        more = msgspec.structs.replace(made.questions, n=n, folder=folder, seed=seed)
        return msgspec.structs.replace(made, folder=str(root / "growing"), questions=more)

    few = make_trajectories(asking(5))
    played = (root / "growing" / "rollouts.jsonl").read_bytes()
    assert sum(few.parts.values()) < few.wanted
    enough = make_trajectories(asking(16))
    assert sum(enough.parts.values()) == enough.wanted
    assert (root / "growing" / "rollouts.jsonl").read_bytes().startswith(played)
    assert contents(str(root / "growing")) == contents(made.folder)
    with pytest.raises(DataError, match=r"belongs to another run \(question \d+ '"):
        make_trajectories(asking(16, seed=9))


@pytest.mark.parametrize("cut", [1, 7, 400, 5_000, 30_000])
def test_a_journal_cut_anywhere_goes_on_to_the_same_set(
    made: TrajectorySettings, root: Path, cut: int
) -> None:
    folder = root / f"cut-{cut}"
    folder.mkdir()
    raw = (Path(made.folder) / "rollouts.jsonl").read_bytes()
    (folder / "rollouts.jsonl").write_bytes(raw[: max(0, len(raw) - cut)])
    make_trajectories(msgspec.structs.replace(made, folder=str(folder)))
    assert contents(str(folder)) == contents(made.folder)
    keys = [
        msgspec.json.decode(line, type=Rollout).key
        for line in (folder / "rollouts.jsonl").read_bytes().splitlines()[1:]
    ]
    assert len(keys) == len(set(keys))


KILLED = """
import importlib.util, sys, time
from pathlib import Path
from typing import Any
from medenv.trajectories.run import make_trajectories
spec = importlib.util.spec_from_file_location("stage", sys.argv[1])
stage = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stage)
root = Path(sys.argv[2])
wanted = stage.settings(root, folder=str(root / "killed"))
make_trajectories(wanted, lambda _: None, lambda done, judged: time.sleep(0.2))
"""
CONFTEST = Path(__file__).with_name("conftest.py")


def test_a_killed_process_loses_nothing(made: TrajectorySettings, root: Path) -> None:
    journal = root / "killed" / "rollouts.jsonl"
    lines = 0
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(CONFTEST), str(root)])
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and journal.read_bytes().count(b"\n") > lines + 2:
                break
            time.sleep(0.005)
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
        lines = journal.read_bytes().count(b"\n")
    assert not (root / "killed" / "trajectories.jsonl").exists()
    make_trajectories(msgspec.structs.replace(made, folder=str(root / "killed")))
    assert contents(str(root / "killed")) == contents(made.folder)


def test_another_runs_journal_is_refused(made: TrajectorySettings) -> None:
    other = msgspec.structs.replace(made, plan=msgspec.structs.replace(made.plan, failures=0.1))
    with pytest.raises(DataError, match=r"belongs to another run \(plan '\w+', now '\w+'\)"):
        make_trajectories(other)
    thoughtless = msgspec.structs.replace(made, teacher=TeacherSettings(thoughts=False))
    with pytest.raises(DataError, match=r"belongs to another run \(teachers "):
        make_trajectories(thoughtless)


def test_two_runs_in_one_folder_are_refused_before_anything_is_made(root: Path) -> None:
    wanted = settings(root, folder=str(root / "shared"))
    with FolderLock(Path(wanted.folder)), pytest.raises(FolderInUseError) as raised:
        make_trajectories(wanted)
    assert raised.value.folder == Path(wanted.folder)
    assert [path.name for path in Path(wanted.folder).iterdir()] == [".lock"]


def test_a_journal_damaged_in_the_middle_is_told_with_its_line(
    made: TrajectorySettings, tmp_path: Path
) -> None:
    raw = (Path(made.folder) / "rollouts.jsonl").read_bytes().splitlines(keepends=True)
    path = tmp_path / "rollouts.jsonl"
    begun = json.loads(raw[0])
    path.write_bytes(raw[0] + raw[1] + b"{}\n" + raw[2])
    with pytest.raises(DataError, match=r"rollouts\.jsonl:3: is damaged"):
        Journal(path, begun, Rollout, key=attrgetter("key"))
    path.write_bytes(raw[0] + raw[1] + raw[1])
    with pytest.raises(DataError, match=r"\(0, 0\) is there twice"):
        Journal(path, begun, Rollout, key=attrgetter("key"))
    path.write_bytes(b"[1, 2]\n")
    with pytest.raises(DataError, match="journal"):
        Journal(path, begun, Rollout, key=attrgetter("key"))


def test_used_up_questions_end_a_run_with_what_there_is(root: Path) -> None:
    wanted = settings(root, folder=str(root / "all"), plan=Plan(n=500))
    card = make_trajectories(wanted)
    assert card.wanted == 500
    assert 8 < sum(card.parts.values()) <= 16


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exploration": 1.5}, "exploration must be in"),
        ({"n": 0}, "must be at least 1, got 0"),
        ({"samples": 5000}, "samples must be below"),
    ],
)
def test_a_plan_out_of_range_is_refused(changes: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Plan(**changes)  # type: ignore[arg-type]


def test_the_ratio_holds_at_every_length() -> None:
    plan = Plan(n=10, exploration=0.3)
    parts = [plan.part(i) for i in range(1000)]
    for length in (10, 100, 1000):
        assert abs(parts[:length].count("exploration") - 0.3 * length) <= 1
    assert plan.wanted() == {"guided": 7, "exploration": 3}


def test_own_questions_have_nothing_that_a_scripted_teacher_follows(root: Path) -> None:
    (root / "own.csv").write_text("question,answer\nWhich gene?,FBN1\n")
    (root / "own.jsonl").write_text('{"id": "p1", "title": "FBN1", "text": "A gene."}\n')
    own = {
        "folder": str(root / "own"),
        "questions": QuestionsSettings(name="set", path=str(root / "own.csv")),
        "corpus": CorpusSettings(source="files", path=str(root / "own.jsonl")),
    }
    with pytest.raises(UsageError, match=r"graph=\.\.\."):
        make_trajectories(settings(root, **own, graph=GraphSettings()))
    with pytest.raises(NoCertificateError, match="a scripted teacher needs one"):
        make_trajectories(settings(root, **own))
    assert not (root / "own" / "rollouts.jsonl").exists()


def test_an_unknown_export_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="unknown export 'csv'"):
        settings(root, exports=("csv",))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "human"}, r"unknown teacher 'human' \(known: oracle, openai\)"),
        ({"kind": "openai"}, "teacher.endpoint.url"),
        ({"endpoint": EndpointSettings(url="http://x", model="m")}, "no other teacher"),
    ],
)
def test_a_teacher_that_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        TeacherSettings(**changes)
