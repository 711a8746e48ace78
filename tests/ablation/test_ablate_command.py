"""What a person sees of the offline laboratory: the page, the tables, the command."""

import re
from html.parser import HTMLParser

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from medenv.ablation.offline import ablate
from medenv.cli import rewards as cli_rewards
from medenv.errors import DataError, UsageError
from medenv.io import write_records
from medenv.report.ablation import tables, verdict, write_ablation
from medenv.reward import PRESETS
from medenv.reward.analysis.variants import read_arm

from ..reward.builder import answering
from .rollouts import ARMS, ROLLOUTS, bank_of, rollout


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.scripts = [], 0

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.found += [value for name, value in attrs if name in ("src", "href", "action")]


def test_the_page_needs_nothing_but_itself_and_names_every_arm(found, tmp_path):
    path = tmp_path / "pages" / "ablation.html"
    write_ablation(path, found)
    page = path.read_text()
    links = Links()
    links.feed(page)
    assert all(link.startswith("#") for link in links.found)
    assert links.scripts == 1
    for result in found.arms:
        assert result.name in page
    assert "Phantom advantage" in page
    assert "infinity" not in page.lower()
    assert re.search(r"\bnan\b", page) is None


def test_a_name_with_markup_in_it_stays_text(tmp_path):
    arm = read_arm("<script>alert(1)</script>:accuracy=1")
    write_ablation(tmp_path / "page.html", ablate(bank_of(ROLLOUTS), [arm], draws=10))
    assert "<script>alert" not in (tmp_path / "page.html").read_text()


def test_the_verdict_names_the_arms_that_are_unsound(found):
    said = verdict(found.arms)
    assert "1 of 5 would teach something where every answer is wrong: composite ungated." in said
    assert "None of 5 rewards would let a wrong answer outrank a right one." in said


def test_the_tables_have_a_row_for_every_arm(found):
    for table in tables(found):
        assert table.row_count == len(ARMS)


def run(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    cli_rewards.register(app)
    return CliRunner().invoke(app, ["rescore", *map(str, arguments)])


def test_the_command_writes_page_and_figures_and_prints_the_verdict(stored, tmp_path):
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    done = run(stored, "--vary", "composite", "--html", page, "--json", figures)
    assert done.exit_code == 0, done.output
    assert "1 of 8 would pay a cheater that does not answer: composite ungated." in done.output
    arms = [arm["name"] for arm in msgspec.json.decode(figures.read_bytes())["arms"]]
    assert arms[: len(PRESETS)] == [*PRESETS]
    assert arms[len(PRESETS) :] == [
        "composite without format",
        "composite without efficiency",
        "composite ungated",
    ]
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("option", ["--html", "--json"])
def test_a_place_that_cannot_be_written_to_is_one_line(stored, tmp_path, option):
    (tmp_path / "file").touch()
    done = run(stored, "--env", "", option, tmp_path / "file" / "page")
    assert isinstance(done.exception, DataError)
    assert re.search(r"file/page: cannot be written: [FN]", str(done.exception))


def test_the_command_takes_arms_of_ones_own_and_no_cheaters(stored):
    done = run(stored, "--presets", "paper", "--arm", "mine:accuracy=1,format=2@open", "--env", "")
    assert done.exit_code == 0, done.output
    assert "1 of 2 would let a wrong answer outrank a right one: mine." in done.output
    assert "cheater" not in done.output


def test_the_command_names_the_index_that_may_be_missing(tmp_path):
    near = rollout(0, 0, answering("SCN1A"))
    part = msgspec.structs.replace(near.score.parts["accuracy"], raw=0.0)
    score = msgspec.structs.replace(near.score, parts={"accuracy": part})
    write_records(tmp_path / "it.jsonl", [msgspec.structs.replace(near, score=score)])
    done = run(tmp_path / "it.jsonl", "--env", "", "--graph", "toy")
    assert "The stored accuracy of 1 episodes differs" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.jsonl"], r"gone\.jsonl: cannot be read: No such file"),
        (
            ["gone.jsonl", "--presets", "papr"],
            r"unknown reward preset 'papr'; did you mean 'paper'",
        ),
        (["gone.jsonl", "--presets", ""], r"at least one arm, got none"),
        (["gone.jsonl", "--graph", "nowhere"], r"nowhere"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(arguments, message):
    done = run(*arguments)
    assert isinstance(done.exception, UsageError)
    assert re.search(message, str(done.exception))
    assert "\n" not in str(done.exception)
