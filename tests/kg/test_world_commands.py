"""Worlds from the command line, and beside a set that was made."""

import json
from pathlib import Path

from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.kg import read_questions, toy_graph, toy_questions, write_questions
from medenv.kg.questions.rare_chains import ChainConfig
from medenv.kg.questions.synthesis import Extras, QuestionsSettings, make_question_set
from medenv.kg.sources import GraphSettings
from medenv.kg.worlds.worlds import check_world, read_world, read_world_file

from .random_graphs import random_graph

run = CliRunner().invoke


def test_a_world_is_made_proved_and_played_by_three_commands(tmp_path: Path) -> None:
    graph, folder = tmp_path / "graph", str(tmp_path / "world")
    toy_graph().save(graph)
    files = []
    for name, questions in (("a", toy_questions().train), ("b", toy_questions().test)):
        write_questions(tmp_path / name, questions, sealed=name == "b")
        files += ["--questions", str(tmp_path / name)]
    made = run(app, ["kg", "world", "make", "renamed", folder, *files, "--graph", f"saved:{graph}"])
    assert "wrote" in made.output
    assert "16 train, 6 test questions" in made.output
    assert "FICTION (renamed world, seed 0) after medenv toy 1" in made.output
    assert "do not pass it on" in made.output
    proved = run(app, ["kg", "world", "check", folder])
    assert (proved.exit_code, "22 questions, 0 problems" in proved.output) == (0, True)
    played = run(app, ["play", "--questions", folder], input="=Nonsense\n")
    assert "renamed world: fiction" in played.output


def test_a_world_that_does_not_hold_what_it_says_is_found_out(tmp_path: Path) -> None:
    run(app, ["kg", "world", "make", "rewired", str(tmp_path / "world")])
    true = read_questions(tmp_path / "world" / "train.jsonl")
    wrong = [q for q in toy_questions().train if q.text == true[0].text]
    write_questions(tmp_path / "world" / "train.jsonl", wrong)
    proved = run(app, ["kg", "world", "check", str(tmp_path / "world")])
    assert proved.exit_code == 1
    assert "is not labelled" in proved.output
    assert "the graph says" in proved.output


def test_altered_worlds_are_written_beside_a_set_and_again_with_a_larger_one(
    tmp_path: Path,
) -> None:
    random_graph(1, diseases=90, findings=90, genes=45, dense=0.2).save(tmp_path / "graph")
    chains = ChainConfig(min_hops=2, max_hops=4, budget=2_000)
    for n in (10, 20):
        wanted = QuestionsSettings(
            n=n, n_test=5, rare_percent=100, test_share=0.4, chains=chains, workers=1
        )
        extras = Extras(worlds=("renamed", "rewired", "unanswerable"))
        graph = GraphSettings(source="saved", path=str(tmp_path / "graph"))
        made = make_question_set(tmp_path / "set", graph, wanted, None, extras)
        worlds = {name: tmp_path / "set" / "worlds" / name for name in extras.worlds}
        told = {name: read_world_file(folder) for name, folder in worlds.items()}
        assert made.contents.source == "random 1"
        assert told["renamed"].questions == {"train": n, "test": 5}
        assert all(one.fiction for one in told.values())
        assert [check_world(read_world(folder)) for folder in worlds.values()] == [[]] * 3
        for folder in worlds.values():
            leaks = json.loads((folder / "leakage.json").read_text())["shared"]
            assert leaks["answers"] == leaks["texts"] == 0
