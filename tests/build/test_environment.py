"""Names to parts, settings to environments, and what is said when they are wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from medenv.build.environment import DIALECTS, REGISTRIES, TOOLS, make_dialect, make_env, make_parts
from medenv.dialects import Hermes
from medenv.episodes.episode import Budget
from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.io import write_records
from medenv.records import Score, Trajectory
from medenv.retrieval import BM25Retriever, PassageStore
from medenv.rollouts.policies import Texts
from medenv.text import ENGLISH, PLAIN
from medenv.tools import FunctionTool, ToolOutput

from ..fakes import ANSWER, PASSAGES, SEARCH, Shelf, exact, question

QUESTIONS = [question(i) for i in range(3)]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs a package of one module with these entry points."""

    def install(name: str, code: str, points: str) -> None:
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(points, encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install


TOOL_CODE = '''
from medenv.tools import FunctionTool, Tool, ToolOutput

class Count(Tool):
    name = "count"
    def __init__(self, retriever, *, offset=0):
        super().__init__()
        self.retriever, self.offset = retriever, offset
    def call(self, query: str) -> ToolOutput:
        """Count the passages found."""
        return ToolOutput(text=str(len(self.retriever.search([query], 9)[0]) + self.offset))

@FunctionTool
def hello(name: str) -> ToolOutput:
    """Greet."""
    return ToolOutput(text=f"hello {name}")
'''


def test_a_package_can_add_tools(plugin: Any) -> None:
    points = "[medenv.tools]\ncount = two_tools:Count\nhello = two_tools:hello\n"
    plugin("two_tools", TOOL_CODE, points)
    assert {"count", "hello", "search", "read"} <= set(TOOLS.names())
    env = make_env(questions=QUESTIONS, corpus=Shelf(), tools={"count": {"offset": 5}, "hello": {}})
    env.reset(seed=0)
    write = env.rules.dialect.write_call
    assert env.step(write("count", {"query": "x"}))[0] == str(len(PASSAGES) + 5)
    assert env.step(write("hello", {"name": "you"}))[0] == "hello you"


REWARD_CODE = """
from medenv.records import Score

def always():
    return lambda trajectory: Score(total=0.25, parts={})
"""


def test_a_package_can_add_rewards(plugin: Any) -> None:
    plugin("generous", REWARD_CODE, "[medenv.rewards]\nalways = generous:always\n")
    env = make_env(questions=QUESTIONS, tools=(), scoring="always")
    env.reset(seed=0)
    assert env.step(ANSWER)[1] == 0.25


RETRIEVER_CODE = """
from medenv.retrieval import BM25Retriever, PassageStore

def first(path):
    return BM25Retriever(list(PassageStore.load(path))[:1])
"""


def test_a_package_can_add_retrievers(plugin: Any, tmp_path: Path) -> None:
    plugin("one_passage", RETRIEVER_CODE, "[medenv.retrievers]\nfirst = one_passage:first\n")
    PassageStore(PASSAGES).save(tmp_path / "p.jsonl")
    env = make_env(questions=QUESTIONS, corpus=tmp_path / "p.jsonl", retriever="first")
    env.reset(seed=0)
    assert env.step(SEARCH)[4]["passages"] == ("D:1#0",)


def test_two_packages_that_offer_one_name_are_refused(plugin: Any) -> None:
    for name in ("one", "two"):
        plugin(name, TOOL_CODE, f"[medenv.tools]\nhello = {name}:hello\n")
    with pytest.raises(UsageError, match="tool 'hello' is offered more than once: one:hello, two"):
        TOOLS.load("hello")


def test_a_package_that_cannot_be_imported_is_told(plugin: Any) -> None:
    plugin("broken", "import no_such_module", "[medenv.dialects]\nodd = broken:Odd\n")
    with pytest.raises(UsageError, match="dialect 'odd' cannot be imported from broken:Odd"):
        DIALECTS.load("odd")


@pytest.mark.parametrize("group", REGISTRIES)
def test_a_wrong_name_is_answered_with_the_known_ones(group: str) -> None:
    registry = REGISTRIES[group]
    with pytest.raises(UnknownNameError, match=rf"unknown {registry.kind} 'zzz' \(known: "):
        registry.load("zzz")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"qestions": None}, "unknown setting 'qestions'; did you mean 'questions'"),
        ({"tools": ["serch"]}, "unknown tool 'serch'; did you mean 'search'"),
        ({"tools": {"search": {"top": 3}}}, "tool 'search' cannot be made with .*'top'"),
        ({"tools": {"search": {"k": 0}}}, "k and snippet_chars must be at least 1"),
        ({"dialect": "hermis"}, "unknown dialect 'hermis'; did you mean 'hermes'"),
        ({"scoring": "composit"}, "unknown reward 'composit'; did you mean 'composite'"),
        ({"scoring": {"acuracy": 1.0}}, "'acuracy'; did you mean 'accuracy'"),
        ({"budget": {"turns": 0}}, "turns must be at least 1, got 0"),
        ({"budget": {"turn": 3}}, "budget: Object contains unknown field `turn`"),
        ({"budget": 3}, "budget: "),
        ({"split": "dev"}, "no question is of split 'dev' among 3"),
        ({"corpus": "/none", "retriever": "bm26"}, "unknown retriever 'bm26'; did you mean 'bm25'"),
        ({"retriever": {"bm25": {"stems": "x"}}}, "retriever 'bm25' cannot take .*'stems'"),
        ({"retriever": {}}, "expected one retriever"),
        (
            {"corpus": None, "retriever": {"bm25": {"analysis": "englsh"}}},
            "unknown analysis 'englsh'; did you mean 'english'",
        ),
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        make_env(**{"questions": QUESTIONS, "corpus": Shelf(), **settings})


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"q\.jsonl: expected the folder .* no such file"):
        make_env(questions=tmp_path / "q.jsonl")
    with pytest.raises(DataError, match=r"corpus: cannot be read"):
        make_env(corpus=tmp_path / "corpus")


def test_questions_and_corpus_can_be_files(tmp_path: Path) -> None:
    write_records(tmp_path / "q.jsonl", QUESTIONS)
    PassageStore(PASSAGES).save(tmp_path / "p.jsonl")
    BM25Retriever(PASSAGES).save(tmp_path / "index")
    for corpus in (str(tmp_path / "p.jsonl"), tmp_path / "index"):
        env = make_env(questions=str(tmp_path / "q.jsonl"), corpus=corpus)
        env.reset(seed=0)
        assert "(P:1#0) Ectopia lentis" in env.step(SEARCH)[0]


def test_the_analysis_of_a_corpus_is_an_option_of_its_retriever(tmp_path: Path) -> None:
    PassageStore(PASSAGES).save(tmp_path / "p.jsonl")
    for corpus in (None, str(tmp_path / "p.jsonl")):
        for options, analysis in ((None, PLAIN), ({"analysis": "english"}, ENGLISH)):
            parts = make_parts(corpus=corpus, retriever={"bm25": options})
            assert isinstance(parts.retriever, BM25Retriever)
            assert parts.retriever.analysis == analysis
    BM25Retriever(PASSAGES, analysis="english").save(tmp_path / "index")
    opened = make_parts(corpus=tmp_path / "index").retriever
    assert isinstance(opened, BM25Retriever)
    assert opened.analysis == ENGLISH
    with pytest.raises(UsageError, match="expected analysis plain"):
        make_parts(corpus=tmp_path / "index", retriever={"bm25": {"analysis": "plain"}})


def test_parts_can_be_given_themselves() -> None:
    @FunctionTool
    def hello(name: str) -> ToolOutput:
        """Greet."""
        return ToolOutput(text="hello")

    dialect = Hermes()
    parts = make_parts(
        questions=QUESTIONS,
        dialect=dialect,
        tools=[hello],
        corpus=Shelf(),
        scoring=exact,
        budget=Budget(turns=3),
    )
    assert parts.rules.dialect is make_dialect(dialect) is dialect
    assert parts.toolbox.tools["hello"] is hello
    score = parts.rollouts().run(Texts([ANSWER]).begin(QUESTIONS[0]), QUESTIONS[0]).score
    assert (score.total, set(score.parts)) == (1.0, {"answer", "accuracy"})
    assert parts.rules.budget.turns == 3


def test_the_split_chooses_among_the_toy_questions() -> None:
    train, test = make_parts(split="train"), make_parts(split="test")
    assert {q.split for q in train.questions} == {"train"}
    assert {q.split for q in test.questions} == {"test"}
    assert len(make_parts().questions) == len(train.questions) + len(test.questions)


def test_settings_that_can_change_a_score_change_the_hash() -> None:
    def hashed(**settings: Any) -> str:
        return make_parts(questions=QUESTIONS, corpus=Shelf(), **settings).rules.config_hash

    assert hashed() == hashed(scoring="composite")
    different = [
        hashed(),
        hashed(scoring="answer_only"),
        hashed(scoring={"accuracy": 1.0}),
        hashed(tools={"search": {"k": 4}}),
        hashed(tools={"search": {"k": 5}}),
        hashed(budget={"turns": 3}),
        hashed(prompt_style="minimal"),
        hashed(scoring=exact),
    ]
    assert len(set(different)) == len(different)


@pytest.mark.parametrize("name", DIALECTS.names())
@pytest.mark.parametrize("style", ["full", "minimal"])
def test_a_prompt_says_how_to_write_what_its_reward_reads_and_it_is_read(
    name: str, style: str
) -> None:
    weights = {"accuracy": 1.0, "citation_precision": 0.2, "calibration": 0.2, "abstention": 0.2}
    env = make_env(scoring=weights, dialect=name, prompt_style=style)
    prompt, _ = env.reset(options={"question": 0})
    (line,) = [one for one in prompt.splitlines() if "<confidence>" in one]
    for said in ("[2]", "0.8", "unknown", env.rules.dialect.note):
        assert said in line
    silent = make_env(dialect=name, prompt_style=style).reset(options={"question": 0})[0]
    assert "<confidence>" not in silent

    write, asked = env.rules.dialect, env.episode.question
    shown = env.step(write.write_call("search", {"query": asked.topic.name}))[4]["passages"]
    gold = next(one for one in asked.certificate.path[0].passages if one in shown)
    note = f"[{shown.index(gold) + 1}] <confidence>0.8</confidence>"
    score = env.step(write.write_answer(asked.answers[0].name, "[1]", note))[4]["score"]
    assert score.parts["citation_precision"].raw == 1
    assert score.parts["calibration"].raw == pytest.approx(1 - 0.2**2)


def test_a_reward_of_another_package_can_ask_for_what_it_reads() -> None:
    class Mine:
        asks = ("Sing {note}.",)

        def __call__(self, trajectory: Trajectory) -> Score:
            return exact(trajectory)

    env = make_env(questions=QUESTIONS, corpus=Shelf(), scoring=Mine())
    assert env.rules.system.endswith("\n\nSing before <answer>.")
