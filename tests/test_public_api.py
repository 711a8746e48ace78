"""What a user of the package needs: environments by id, and local parts by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import medenv
from medenv.build.environment import make_env
from medenv.build.plugins import RETRIEVERS, REWARDS, TOOLS
from medenv.errors import UnknownNameError, UsageError
from medenv.kg import Graph, toy_graph
from medenv.kg.sources import open_source
from medenv.plugins import retriever, reward, source, tool
from medenv.records import Part, Score, Trajectory
from medenv.reward import PRESETS

from .fakes import ANSWER, PASSAGES, Shelf, question


@pytest.fixture(autouse=True)
def _own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    for registry in (TOOLS, RETRIEVERS, REWARDS):
        monkeypatch.setattr(registry, "_registered", {})


def test_an_environment_is_made_by_its_id_and_by_settings() -> None:
    plain = medenv.make()
    assert plain.rules.env_id == "medenv/Research-v0"
    assert plain.spec is not None
    chosen = medenv.make("medenv/ClosedBook-v0", budget={"turns": 3}, render_mode="ansi")
    assert (chosen.rules.budget.turns, chosen.render_mode) == (3, "ansi")
    same = gymnasium.make("medenv/Research-v0").unwrapped
    assert same.rules.config_hash == plain.rules.config_hash  # type: ignore[attr-defined]  # ours
    with pytest.raises(UnknownNameError, match="did you mean 'medenv/Research-v0'"):
        medenv.make("medenv/Reserch-v0")
    with pytest.raises(UnknownNameError, match="CartPole"):
        medenv.make("CartPole-v1")
    with pytest.raises(UnknownNameError, match="did you mean 'tools'"):
        medenv.make(tolls=())


def test_an_environment_of_ones_own_has_an_id() -> None:
    medenv.register("tests/Short-v0", tools=("search",), budget={"turns": 2})
    try:
        medenv.register("tests/Short-v0", tools=("search",), budget={"turns": 2})
        with pytest.raises(UsageError, match="is taken"):
            medenv.register("tests/Short-v0", tools=())
        for made in (medenv.make("tests/Short-v0"), gymnasium.make("tests/Short-v0").unwrapped):
            assert made.rules.budget.turns == 2  # type: ignore[attr-defined]  # ours
            assert list(made.toolbox.tools) == ["search"]  # type: ignore[attr-defined]  # ours
    finally:
        del gymnasium.registry["tests/Short-v0"]


def test_local_parts_are_used_by_name(tmp_path: Path) -> None:
    @tool
    def count_letters(word: str) -> str:
        """Count the letters of a word."""
        return str(len(word))

    @reward
    def loud(trajectory: Trajectory) -> Score:
        right = float((trajectory.answer or "").isupper())
        part = Part(raw=right, weight=1.0, weighted=right, reason="")
        return Score(total=right, parts={"accuracy": part})

    @reward
    class Quiet:
        def __call__(self, trajectory: Trajectory) -> Score:
            return Score(total=0.5, parts={})

    @retriever
    def shelf(path: str, *, most: int = 9) -> Shelf:
        return Shelf(PASSAGES[:most])

    @source
    def twice_toy(path: str | None = None) -> Graph:
        return toy_graph()

    assert {"count_letters", "search"} <= set(medenv.list_tools())
    assert {"loud", "Quiet", *PRESETS} <= set(medenv.list_rewards())
    assert open_source("twice_toy").info == toy_graph().info
    env = medenv.make(
        questions=[question()],
        corpus=str(tmp_path),
        retriever={"shelf": {"most": 1}},
        tools=("search", "count_letters"),
        scoring="loud",
    )
    env.reset(seed=0)
    write = env.rules.dialect.write_call
    assert env.step(write("count_letters", {"word": "fever"}))[0] == "5"
    assert env.step(write("search", {"query": "x"}))[4]["passages"] == (PASSAGES[0].id,)
    assert env.step(ANSWER)[1] == 1.0
    assert REWARDS.load("Quiet")()(None).total == 0.5


def test_a_name_has_one_owner() -> None:
    def defined(text: str) -> Any:
        @tool
        def repeat_after_me(word: str) -> str:
            """Say it again."""
            return text

        return repeat_after_me

    defined("first")
    defined("again")  # the same definition, run once more, as in a notebook
    env = medenv.make(tools=("repeat_after_me",))
    env.reset(seed=0)
    assert env.step(env.rules.dialect.write_call("repeat_after_me", {"word": "x"}))[0] == "again"

    def search(word: str) -> str:
        """Search."""
        return word

    def repeat_after_me(word: str) -> str:
        """Another one."""
        return word

    for other in (search, repeat_after_me):
        with pytest.raises(UsageError, match="is taken by"):
            tool(other)


def test_an_object_is_named_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loud_tools.py").write_text(
        "from medenv.plugins import tool\n\n"
        "@tool\ndef shout(word: str) -> str:\n"
        '    """Say it loudly."""\n    return word.upper()\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = make_env(tools=("loud_tools:shout",))
    env.reset(seed=0)
    assert env.step(env.rules.dialect.write_call("shout", {"word": "fever"}))[0] == "FEVER"
    (tmp_path / "broken_module_of_a_user.py").write_text("raise RuntimeError('no such thing')\n")
    for name, why in (
        ("broken_module_of_a_user:x", "RuntimeError: no such thing"),
        ("no_such_module_at_all:x", "ModuleNotFoundError"),
        (f"{__name__}:nothing", "AttributeError"),
        (":c", "package.module:object"),
    ):
        with pytest.raises(UsageError, match=why) as caught:
            make_env(tools=(name,))
        assert "\n" not in str(caught.value)


def test_the_decorators_import_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "verl", "ray", "vllm", "hydra", "pandas")
    code = f"import sys, medenv.plugins; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
