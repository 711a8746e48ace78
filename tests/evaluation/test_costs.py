"""What episodes cost: measured beside them, priced by tokens, and the same in every table."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from medenv.build.prepare import prepare
from medenv.build.settings import PolicySettings
from medenv.cli.main import app
from medenv.dialects import Hermes
from medenv.errors import DataError, UsageError
from medenv.evaluation.compare import compare, read_evaluation
from medenv.evaluation.costs import COSTS, MeteredPolicy, priced, with_shares
from medenv.evaluation.run import EvaluateSettings, evaluate
from medenv.evaluation.summary import summarise
from medenv.integrations.hydra.identity import OtherSettingsError
from medenv.kg.questions.sets import QuestionSet
from medenv.records import UNSET, Cost, Message, Scored, Written
from medenv.report.formatting import show

from ..chat_server import ChatServer
from ..report.builder import question, scored, turn
from ..toy import toy_run, toy_settings

ROOT = Path(__file__).parents[2]
HERMES = Hermes()
PRICES = {"input_price": 2.0, "output_price": 10.0, "currency": "EUR"}


def settings(root: Path, url: str, **changes: Any) -> EvaluateSettings:
    """A served policy on the toy graph, one sample of each question."""
    policy = PolicySettings(url=url, model="m", **changes.pop("prices", PRICES))
    given = {"run": "served", "policy": policy, "samples": 1, "greedy": False}
    return EvaluateSettings(**toy_run(root, **{**given, **changes}))


def searching(body: dict[str, Any]) -> str:
    """Search first, and answer with what the toy graph calls its first gene."""
    if len(body["messages"]) < 3:
        return HERMES.write_call("search", {"query": "gene"})
    return HERMES.write_answer("unknown")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a served policy was evaluated; its server counts 7 tokens read and 2 written a turn."""
    folder = tmp_path_factory.mktemp("outputs")
    with ChatServer(searching) as server:
        evaluate(settings(folder, server.url))
    return folder


def costs(folder: Path) -> list[Cost]:
    lines = (folder / COSTS).read_text().splitlines()
    return [msgspec.convert(json.loads(line)["cost"], Cost) for line in lines]


def test_each_episode_has_its_time_and_the_price_of_its_tokens(root: Path) -> None:
    found = costs(root / "served")
    assert len(found) == 4
    for cost in found:
        assert 0 < cost.policy_seconds <= cost.seconds
        assert cost.tool_seconds == pytest.approx(cost.seconds - cost.policy_seconds)
        assert cost.tokens_read == 2 * 7
        assert cost.money == pytest.approx((14 * 2 + 4 * 10) / 1e6)
        assert cost.currency == "EUR"


def test_rollout_files_hold_no_durations(root: Path) -> None:
    for name in ("sampled", "greedy"):
        text = (root / "served" / f"{name}.jsonl").read_text()
        assert "cost" not in text
        assert re.findall(r'"seconds":(?!0\.0)', text) == []


def test_read_again_the_costs_are_those_that_were_measured(root: Path) -> None:
    run = read_evaluation(root / "served")
    assert [one.cost for one in run.sampled] == costs(root / "served")
    (root / "served" / COSTS).rename(root / "away")
    try:  # an evaluation made before there were any
        assert {one.cost for one in read_evaluation(root / "served").sampled} == {UNSET}
    finally:
        (root / "away").rename(root / "served" / COSTS)


def test_a_damaged_file_of_costs_is_told_with_its_line(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "served"
    shutil.copytree(root / "served", folder)
    (folder / COSTS).write_text((folder / COSTS).read_text()[:-20])
    with pytest.raises(DataError, match=r"costs\.jsonl:4: expected an? EpisodeCost"):
        read_evaluation(folder)


def test_the_recipe_takes_prices_and_prints_what_right_answers_cost(tmp_path: Path) -> None:
    made = QuestionSet.open(prepare(toy_settings(tmp_path)).questions.folder)
    gold = {one.text: one.answers[0].name for one in made.questions("test")}

    def answer(body: dict[str, Any]) -> str:
        return HERMES.write_answer(gold[body["messages"][0]["content"]])

    with ChatServer(answer) as server:
        command = [
            *(sys.executable, "-m", "medenv.cli", "evaluate", "graph=toy", "questions=toy"),
            *("env=tiny", f"policy={server.url}#m", "samples=1", "greedy=false", "n=2"),
            *("policy.input_price=2", "policy.output_price=10", "policy.currency=EUR"),
            f"root={tmp_path}",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert "7.00 tokens read" in told
    assert "0.000034 money (EUR)" in told


def test_other_prices_are_taken_without_playing_again(root: Path, tmp_path: Path) -> None:
    evaluated = json.loads((root / "served" / "identity.json").read_text())["settings"]
    url = evaluated["policy.url"]  # the server is gone
    before = (root / "served" / "episodes.jsonl").read_bytes()
    done = evaluate(settings(root, url, prices={}))
    assert done.sampled is not None
    assert (done.sampled.currency, "money" in done.sampled.measures) == ("", False)
    assert done.sampled.measures["seconds"].mean > 0
    evaluate(settings(root, url))
    assert (root / "served" / "episodes.jsonl").read_bytes() == before
    with pytest.raises(OtherSettingsError):
        evaluate(settings(root, url, seed=3))


def timed(*spans: tuple[float, float]) -> list[float | None]:
    """The shares of episodes from one moment to another."""
    (one,) = rated([1], 0.0)
    episodes = [
        msgspec.structs.replace(
            one, cost=Cost(seconds=end - begin, policy_seconds=0.0, began=1e9 + begin)
        )
        for begin, end in spans
    ]
    return [found.cost.run_seconds for found in with_shares(episodes)]  # type: ignore[union-attr]


def test_episodes_at_the_same_time_share_it() -> None:
    assert timed((0, 6)) == [6]
    assert timed((0, 6), (0, 6), (0, 6)) == pytest.approx([2, 2, 2])
    # alone for 2, together for 4, then the other one alone for 1
    assert timed((0, 6), (2, 7)) == pytest.approx([2 + 4 / 2, 4 / 2 + 1])
    # stopped after 3 and started again at 100: the time between does not count
    assert timed((0, 3), (100, 104), (100, 102)) == pytest.approx([3, 1 + 2, 1])
    assert timed() == []
    unmeasured = msgspec.structs.replace(rated([1], 0.0)[0], cost=UNSET)
    assert with_shares([unmeasured]) == [unmeasured]


def test_the_shares_add_up_to_the_time_of_the_evaluation(root: Path) -> None:
    found = costs(root / "served")
    whole = max(c.began + c.seconds for c in found) - min(c.began for c in found)
    assert sum(c.run_seconds or 0.0 for c in found) == pytest.approx(whole, rel=0.2)


def rated(rights: Sequence[int], money: float, currency: str = "EUR") -> list[Scored]:
    """Episodes that each took 6 seconds, 4 of them the policy's, and cost so much money."""
    return [
        msgspec.structs.replace(
            scored(question(i), [turn(0, "so it is x", answer="x")], right=float(right)),
            cost=Cost(
                seconds=6.0,
                policy_seconds=4.0,
                run_seconds=3.0,
                tokens_read=100,
                money=money,
                currency=currency,
            ),
        )
        for i, right in enumerate(rights)
    ]


def test_what_right_answers_cost_counts_wrong_ones() -> None:
    found = summarise(rated([1, 0, 0, 1], 0.5))
    spent = {name: one.mean for name, one in found.per_right.items()}
    assert spent == pytest.approx(
        {
            "tool_calls": 0,
            "turns": 2,
            "tokens": 8,
            "tokens_read": 200,
            "run_seconds": 6,
            "money": 1.0,
        }
    )
    assert found.currency == "EUR"
    money = found.per_right["money"]
    # resampled questions: of four, between one and four right ones
    assert money.low <= 1.0 <= money.high
    assert (money.n, money.clusters) == (2, 4)


def test_where_one_episode_has_no_price_right_answers_have_none() -> None:
    first, *rest = rated([1, 1, 0], 0.5)
    unpriced = msgspec.structs.replace(first, cost=UNSET)
    found = summarise([unpriced, *rest])
    assert "money" not in found.per_right
    assert found.per_right["turns"].mean == pytest.approx(3 / 2)


def test_two_currencies_have_no_difference() -> None:
    def money_rows(before: list[Scored], after: list[Scored]) -> list[Any]:
        from medenv.report.headline import headline, pair

        rows = headline(pair(before, after), None)
        return [row for row in rows if row.label.startswith("Money")]

    episode, right = money_rows(rated([1, 0], 0.5), rated([1, 1], 0.75))
    assert (episode.note, right.note) == ("EUR", "EUR")
    assert episode.difference.mean == pytest.approx(0.25)
    assert right.difference.mean == pytest.approx(0.75 - 1.0)
    for row in money_rows(rated([1, 0], 0.5), rated([1, 1], 0.75, "USD")):
        assert (row.note, row.difference) == ("EUR before, USD after", None)


def test_every_table_shows_them(root: Path, tmp_path: Path) -> None:
    with ChatServer(lambda _: HERMES.write_answer("unknown")) as server:
        evaluate(settings(tmp_path, server.url, against=str(root / "served")))
    text = (tmp_path / "served" / "report.md").read_text()
    page = (tmp_path / "served" / "page.html").read_text()
    for found in (text, page):
        assert "Money per episode (EUR)" in found
        assert "2 EUR read, 10 written" in found
        assert "Seconds of the evaluation per episode" in found
        assert "Tokens read per episode" in found
    folders = [str(root / "served"), str(tmp_path / "served")]
    told = CliRunner().invoke(app, ["compare", *folders], env={"COLUMNS": "200"}).output
    assert re.search(r"Money per episode \(EUR\)\W+0\.000068\W+0\.000034", told)
    (found_,) = compare([read_evaluation(one) for one in folders])
    labels = {row.label for row in found_.rows}
    assert labels >= {"Seconds of the evaluation per episode", "Tokens read per episode"}


class Slow:
    """Writes at once or after a while, with or without counting."""

    def act(self, messages: Sequence[Message]) -> str:
        time.sleep(0.02)
        return "x"


class Failing:
    async def act_within(self, messages: Sequence[Message], max_tokens: int | None) -> Written:
        await asyncio.sleep(0.02)
        raise ConnectionError("gone")


def test_the_meter_counts_the_time_of_failed_texts_and_of_plain_policies() -> None:
    slow, failing = MeteredPolicy(Slow()), MeteredPolicy(Failing())
    assert asyncio.run(slow.act_within([], 5)) == Written(text="x")
    assert asyncio.run(slow.act([])) == "x"
    assert slow.seconds >= 0.04
    assert slow.tokens_read == 0
    with pytest.raises(ConnectionError):
        asyncio.run(failing.act([]))
    assert failing.seconds >= 0.02


def test_a_price_needs_tokens_that_were_counted() -> None:
    policy = PolicySettings(url="http://x/v1", model="m", **PRICES)
    (one,) = rated([1], 0.0)
    cost = Cost(seconds=1.0, policy_seconds=1.0)
    uncounted = msgspec.structs.replace(one, cost=cost)
    assert priced(uncounted, policy).cost == cost
    unmeasured = msgspec.structs.replace(one, cost=UNSET)
    assert priced(unmeasured, policy) == unmeasured


@pytest.mark.parametrize(
    "prices", [{"input_price": 1.0}, {"output_price": 1.0}, {"input_price": -1, "output_price": 0}]
)
def test_prices_that_cannot_be_are_refused(prices: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"policy\.input_price and policy\.output_price of at"):
        PolicySettings(path="x", **prices)


def test_small_sums_of_money_keep_two_digits() -> None:
    assert [show(one, "count") for one in (0.000034, 0.0004, 0.0, 1e-17, 0.05, 3.14159)] == [
        *("0.000034", "0.00040", "0.00", "0.000", "0.050", "3.14"),
    ]
