"""The pages that draw graphs and questions, and the commands that write them."""

import re
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from medenv.cli.kg import register
from medenv.errors import DataError, UsageError
from medenv.kg import Graph, read_questions, write_questions
from medenv.kg.graph import GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.pictures import FAN, catalogue, neighbourhood, pictured, terms
from medenv.kg.graph.schema import HAS_GENE
from medenv.kg.questions.synthesis import QuestionsSettings, make_question_set
from medenv.kg.sources import GraphSettings
from medenv.kg.sources.toy import ToyQuestions
from medenv.records import Question
from medenv.report.explorer import explorer, write_explorer

from ..browser import dom, embedded

app = typer.Typer()
register(app)


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


def test_a_neighbourhood_has_only_edges_of_the_graph_and_a_chain_along_them(graph: Graph) -> None:
    picture = neighbourhood(graph, graph.number("TOY:D6"), hops=4)
    ids = [node[0] for node in picture["nodes"]]
    assert ids[0] == "TOY:D6"
    joined = set()
    for head, tail, relation in picture["edges"]:
        assert graph.has_edge(graph.number(ids[head]), relation, graph.number(ids[tail]))
        joined |= {(head, tail), (tail, head)}
    chain = picture["chain"]
    assert chain[0] == 0
    assert all(step in joined for step in pairwise(chain))


def test_a_catalogue_tells_every_node_once_and_every_questions_own_edges(
    graph: Graph, questions: ToyQuestions
) -> None:
    told = catalogue(graph, questions.train)
    ids = [node[0] for node in told["nodes"]]
    assert len(ids) == len(set(ids))
    for row, question in zip(told["questions"], questions.train, strict=True):
        picture = pictured(graph, question)
        edges = [
            (picture["nodes"][head][0], picture["nodes"][tail][0], relation)
            for head, tail, relation in picture["edges"]
        ]
        shown = [(ids[h], ids[t], told["relations"][r]) for h, t, r in row[9]]  # type: ignore[attr-defined]  # a list
        assert shown == edges
        assert next(ids[place] for place in row[10]) == question.topic.id  # type: ignore[attr-defined]  # a list


def test_a_page_asks_for_nothing_outside_itself(graph: Graph) -> None:
    page = explorer("T", "L", "F", neighbourhood(graph, 0))
    assert not re.search(r'(src|href)\s*=\s*"', page)
    assert "default-src 'none'" in page
    assert "@import" not in page


def test_no_text_can_leave_the_data_block(graph: Graph) -> None:
    evil = "</script><script>alert(1)</script>"
    picture = neighbourhood(graph, graph.number("TOY:D6"))
    picture["nodes"][0][1] = evil
    page = explorer("T", "L", "F", picture)
    assert evil not in page
    assert embedded(page)["nodes"][0][1] == evil  # type: ignore[index]  # a list


def test_the_drawing_appears_in_a_browser(graph: Graph, tmp_path: Path) -> None:
    picture = neighbourhood(graph, graph.number("TOY:D6"), hops=4)
    write_explorer(tmp_path / "g.html", "Night lake syndrome", "Lead.", "Terms.", picture)
    page = dom(tmp_path / "g.html")
    assert page.count('<g class="node') == len(picture["nodes"])
    assert page.count("<line class=") == len(picture["edges"])
    assert page.count('class="link gold"') == len(picture["chain"]) - 1
    assert f"{len(picture['nodes'])} entities" in page
    assert "NaN" not in page


def test_ten_thousand_questions_are_listed_a_window_at_a_time(
    graph: Graph, questions: ToyQuestions, tmp_path: Path
) -> None:
    many = [
        msgspec.structs.replace(questions.train[i % 16], id=f"train:{i}", difficulty=i / 10_000)
        for i in range(10_000)
    ]
    write_explorer(tmp_path / "q.html", "q", "L.", "F.", catalogue(graph, many))
    assert (tmp_path / "q.html").stat().st_size < 8_000_000
    page = dom(tmp_path / "q.html")
    assert "10,000 of 10,000 questions" in page
    assert 5 < page.count('class="row"') < 40
    assert many[0].text.replace('"', "&quot;") in page or many[0].text in page


@pytest.fixture
def question_file(tmp_path: Path, questions: ToyQuestions) -> Path:
    write_questions(tmp_path / "train.jsonl", questions.train)
    write_questions(tmp_path / "test.jsonl", questions.test, sealed=True)
    return tmp_path / "train.jsonl"


def test_certificates_of_an_earlier_version_are_refused_in_one_line(
    tmp_path: Path, questions: ToyQuestions
) -> None:
    old = [
        msgspec.structs.replace(
            q, certificate=msgspec.structs.replace(q.proof, effective_hops=0, entries=0)
        )
        for q in questions.train
    ]
    write_questions(tmp_path / "train.jsonl", old)
    with pytest.raises(UsageError, match=r"an earlier version, .* make the questions anew"):
        CliRunner().invoke(
            app,
            ["questions", "verify", str(tmp_path / "train.jsonl"), "--graph", "toy"],
            catch_exceptions=False,
        )


def test_kg_info_tells_version_terms_counts_and_degrees() -> None:
    told = run("kg", "info", "--graph", "toy")
    for part in ("medenv toy 1", "33 nodes", "phenotype", "has_gene", "every name is invented"):
        assert part in told


def test_kg_show_writes_a_page(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    told = run("kg", "show", "night LAKE syndrome", "--graph", "toy", "--out", str(out))
    assert "entities, longest chain" in told
    assert embedded(out.read_text())["nodes"][0][0] == "TOY:D6"  # type: ignore[index]  # a list


def test_a_name_nobody_bears_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'Night lake syndrome'"):
        run("kg", "show", "Night lake", "--graph", "toy")


def test_questions_show_draws_the_path_and_tells_the_whole_certificate(
    question_file: Path, graph: Graph, questions: ToyQuestions
) -> None:
    file = str(question_file.parent / "test.jsonl")
    told = run("questions", "show", "test:2", "--file", file, "--graph", "toy")
    for part in ("answer", "chance", "search rank", "shortcuts", "query", "fewest calls", "│", "●"):
        assert part in told
    (shown,) = [q for q in questions.test if q.id == "test:2"]
    path = shown.certificate.path
    for node in (path[0].head, *(hop.tail for hop in path)):
        assert f"{graph.nodes.names[graph.number(node)]}  {graph.kind(graph.number(node))}" in told
    assert all(passage in told for hop in path for passage in hop.passages)
    with pytest.raises(UsageError, match="no question 'test:99' among 6, from test:0 to test:5"):
        run("questions", "show", "test:99", "--file", str(question_file.parent / "test.jsonl"))


def test_questions_verify_proves_all_or_names_what_is_wrong(
    question_file: Path, questions: ToyQuestions
) -> None:
    assert "16 questions, 0 problems" in run(
        "questions", "verify", str(question_file), "--graph", "toy"
    )
    wrong: Question = msgspec.structs.replace(questions.train[0], text="Which?")
    write_questions(question_file, [wrong, *questions.train[1:]])
    told = run("questions", "verify", str(question_file), "--graph", "toy", code=1)
    assert "train:0: the text does not name" in told


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A graded set in the folder where sets are made."""
    wanted = QuestionsSettings(
        kinds={"list": 1, "quantity": 1, "intersection": 1}, rare_percent=100, test_share=0.3, n=4,
        n_test=1,
    )  # fmt: skip
    folder = tmp_path / "outputs" / "questions-toy"
    make_question_set(folder, GraphSettings(source="toy"), wanted)
    return folder


def test_the_newest_set_is_shown_where_no_file_is_named(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.parents[1])
    told = run("questions", "show", "train:3")
    assert "outputs/questions-toy/train.jsonl" in told
    assert read_questions(made / "train.jsonl")[3].certificate.path[0].head in told
    monkeypatch.chdir(made)
    assert "the toy questions" in run("questions", "show", "train:3")


def test_a_set_is_proved_from_what_its_card_says_it_was_made_of(made: Path) -> None:
    told = run("questions", "verify", str(made))
    assert "5 questions, searched, 0 problems; medenv toy 1" in told
    assert "shared by training and test questions: 0 answers, 0 edges" in told


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"difficulty": 0.123}, "difficulty is 0.123, the solvers say"),
        ({"grades": {"closed_book": 1.0}}, "grades are .* the solvers say"),
        ({"search_rank": 9}, "search_rank is 9, the search says"),
    ],
)
def test_a_claim_about_searching_is_checked_by_searching(
    made: Path, changes: dict[str, object], problem: str
) -> None:
    first, *others = read_questions(made / "train.jsonl")
    if "search_rank" in changes:
        proof = msgspec.structs.replace(first.certificate, **changes)
        wrong = msgspec.structs.replace(first, certificate=proof)
    else:
        wrong = msgspec.structs.replace(first, **changes)
    write_questions(made / "train.jsonl", [wrong, *others])
    told = run("questions", "verify", str(made / "train.jsonl"), code=1)
    assert re.search(f"train:0: {problem}", told)
    assert "0 problems" in run("questions", "verify", str(made / "train.jsonl"), "--no-search")
    assert "leakage.json does not match" in run("questions", "verify", str(made), code=1)


def test_a_set_whose_card_is_damaged_is_named(made: Path) -> None:
    (made / "card.json").write_text("{")
    with pytest.raises(DataError, match="expected the card of a set"):
        run("questions", "verify", str(made))


def test_questions_browse_writes_a_page(question_file: Path) -> None:
    run("questions", "browse", str(question_file), "--graph", "toy")
    data = embedded(question_file.with_suffix(".html").read_text())
    assert len(data["questions"]) == 16  # type: ignore[arg-type]  # a list
    with pytest.raises(DataError, match="cannot be read"):
        run("questions", "browse", "none.jsonl", "--graph", "toy")


@pytest.mark.parametrize("neighbours", [5, 24, 39])
def test_labels_hide_neither_each_other_nor_marks(tmp_path: Path, neighbours: int) -> None:
    builder = GraphBuilder(GraphInfo(source="star", version="1", licence=""))
    builder.relation(HAS_GENE)
    builder.node("D:0", kind="disease", name="A disease with a rather long name")
    kinds = ("gene", "variant", "pathway", "drug", "enzyme")
    for n in range(neighbours):
        builder.node(f"X:{n:02}", kind=kinds[n % 5], name=f"Neighbour with a long name, number {n}")
        builder.edge("D:0", HAS_GENE.name, f"X:{n:02}")
    graph = builder.build()
    page = tmp_path / "page.html"
    picture = neighbourhood(graph, graph.number("D:0"), max_nodes=60)
    write_explorer(page, "Star", "", terms(graph), picture)
    shown = dom(page)
    marks = re.findall(
        r'<g class="node([^"]*)" transform="translate\((\S+) (\S+)\)">(<\w+)(.*?)</g>', shown
    )
    assert len(marks) == min(neighbours, FAN) + 1
    boxes, points = [], []
    for kind, x, y, _, inner in marks:
        points.append((float(x), float(y)))
        text = re.search(r"<text([^>]*)>([^<]*)<", inner)
        assert text is not None
        if "quiet" in kind:
            continue
        fields = dict(re.findall(r'([\w-]+)="([^"]*)"', text[1]))
        wide = 4.5 * len(text[2])  # no glyph of the font at 11 px is narrower on average
        left = float(x) + float(fields["x"])
        left -= {"start": 0.0, "middle": wide / 2, "end": wide}[fields["text-anchor"]]
        top = float(y) + float(fields["y"]) - 9
        boxes.append((left, top, left + wide, top + 11))
    assert len(boxes) >= 5
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            assert (
                one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            )
        for x, y in points:
            inside = one[0] < x < one[2] and one[1] < y < one[3]
            assert not inside
    drawn = {(re.findall("k[0-9]", inner)[0], tag) for *_, tag, inner in marks if "mark k" in inner}
    assert len(drawn) >= 4
