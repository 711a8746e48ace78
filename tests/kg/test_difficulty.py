import pytest

from medenv.kg import Documents, Graph
from medenv.kg.certificates.certificate import rank_among
from medenv.kg.certificates.queries import Outcome, evaluate
from medenv.kg.questions.difficulty import Found, difficulty, grade, search_parts
from medenv.kg.questions.drafts import Draft, Rejected, finish
from medenv.kg.questions.generator import QuestionGenerator, QuestionSpec
from medenv.records import Passage, Question
from medenv.retrieval import BM25Retriever


def question(graph: Graph, query: list[object], text: str) -> tuple[Question, Outcome]:
    return finish(Documents(graph), Draft(query, text, "t"), "train", 80)


def results(graph: Graph, *entities: str) -> list[Passage]:
    passages = Documents(graph).passages
    return [next(p for p in passages if p.entity == entity) for entity in entities]


STEPS = [["has_gene", []], ["gene_of", []]]


def test_a_guess_from_memory_goes_by_number_of_edges(graph: Graph) -> None:
    made, outcome = question(graph, ["chain", "TOY:D6", STEPS], "Night lake syndrome ...")
    degrees = graph.degrees("has_gene")
    share = int(degrees[graph.number("TOY:D5")]) / int(degrees.sum())
    assert grade(graph, made, outcome, Found([]))["closed_book"] == pytest.approx(share)


def test_one_search_takes_the_first_result_of_the_answers_kind_that_is_not_named(
    graph: Graph,
) -> None:
    made, outcome = question(graph, ["chain", "TOY:D6", STEPS], "Night lake syndrome ...")

    def searched(*entities: str) -> float:
        return grade(graph, made, outcome, Found(results(graph, *entities)))["one_search"]

    assert searched("TOYGENE:ZORI4", "TOY:D6", "TOY:D5") == 1
    assert searched("TOY:D1", "TOY:D5") == 0
    assert searched() == 0


def test_greedy_hopping_follows_relations_and_no_clues(graph: Graph) -> None:
    query = ["where", "disease", [["has_phenotype", "TOY:P12"], ["has_onset", "TOY:O1"]]]
    text = 'Which disease has "Excess of tears at night" and childhood onset?'
    made, outcome = question(graph, query, text)
    assert grade(graph, made, outcome, Found([]))["greedy_hops"] == pytest.approx(1 / 2)
    steps = [["gene_of", []], ["has_phenotype", [["phenotype_of", "TOY:D1"]]]]
    made, outcome = question(graph, ["chain", "TOYGENE:TREV3", steps], "TREV3, Marrow Bay syndrome")
    assert grade(graph, made, outcome, Found([]))["greedy_hops"] == pytest.approx(1 / 3)


def test_greedy_hopping_needs_a_topic_and_searches_it_where_it_is_not_named(graph: Graph) -> None:
    root = ["where", "disease", [["has_phenotype", "TOY:P11"]]]
    text = '"Copper-coloured freckles"'
    made, outcome = question(graph, ["chain", root, STEPS], text)
    found = results(graph, "TOY:P11", "TOY:D6")
    assert grade(graph, made, outcome, Found(found))["greedy_hops"] == pytest.approx(1 / 1)
    other = results(graph, "TOY:D5", "TOY:D6")
    assert grade(graph, made, outcome, Found(other))["greedy_hops"] == 0


def test_a_union_of_searches_guesses_among_all_that_any_of_them_found(graph: Graph) -> None:
    made, outcome = question(graph, ["chain", "TOY:D6", STEPS], "Night lake syndrome ...")

    def searched(*parts: tuple[str, ...]) -> float:
        found = Found([], [results(graph, *entities) for entities in parts])
        return grade(graph, made, outcome, found)["union"]

    assert searched(("TOY:D1", "TOYGENE:ZORI4"), ("TOY:D5", "TOY:D6")) == 1 / 2
    assert searched(("TOY:D1",), ("TOY:D2",)) == 0
    assert searched() == 0


def test_each_sentence_of_a_question_is_searched_alone(graph: Graph) -> None:
    made, _ = question(graph, ["chain", "TOY:D6", STEPS], "Night lake syndrome has a gene. Which?")
    retriever = BM25Retriever(Documents(graph).passages)
    (found,) = search_parts(retriever, [made], {})
    alone = [
        retriever.search([text], 10)[0] for text in ("Night lake syndrome has a gene.", "Which?")
    ]
    assert [[p.id for p in part] for part in found.parts] == [[p.id for p, _ in a] for a in alone]


@pytest.mark.parametrize(
    ("chances", "hardness"), [([1.0, 0.0], 0.0), ([0.25, 0.5], 0.05), ([0.0], 1.0), ([1e-9], 1.0)]
)
def test_difficulty_is_the_bits_of_luck_that_the_best_solver_needs(
    chances: list[float], hardness: float
) -> None:
    grades = {str(i): chance for i, chance in enumerate(chances)}
    assert difficulty(grades) == pytest.approx(hardness)


def test_a_workshop_with_a_retriever_grades_every_question(graph: Graph) -> None:
    documents = Documents(graph)
    retriever = BM25Retriever(documents.passages)
    config = QuestionSpec(kinds={"list": 1, "intersection": 1}, rare_percent=100, test_share=0.3)
    workshop = QuestionGenerator(documents, config, 0, retriever)
    made = []
    for i in range(60):
        try:
            made.append(workshop.attempt("train", i))
        except Rejected:
            continue
    assert made
    for one in made:
        (found,) = search_parts(retriever, [one], {})
        assert one.certificate.search_rank == rank_among(one.certificate, found.whole)
        outcome = evaluate(graph, one.certificate.query)
        assert one.grades == grade(graph, one, outcome, found)
        assert one.difficulty == round(difficulty(one.grades), 4)
