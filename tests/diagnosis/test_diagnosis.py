"""Diseases ranked by findings: held against Bayes' rule written out, and its tools."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.diagnosis.cases import Patient
from medenv.diagnosis.model import CEILING, Annotation, DiseaseModel, Weights
from medenv.errors import UsageError
from medenv.records import Entity, ToolCall, ToolResult
from medenv.tools import Tool, ToolBox
from medenv.tools.ask import Ask
from medenv.tools.diagnose import MAX_FINDINGS, MAX_SUGGESTIONS, Diagnose

DISEASES = [Entity(id=f"D:{i}", kind="disease", name=f"Disease {i}") for i in range(3)]
FINDINGS = [
    Entity(id="F:0", kind="phenotype", name="Any finding"),
    Entity(id="F:1", kind="phenotype", name="Abnormal eye"),
    Entity(id="F:2", kind="phenotype", name="Ectopia lentis", aliases=("Displaced lens",)),
    Entity(id="F:3", kind="phenotype", name="Myopia"),
    Entity(id="F:4", kind="phenotype", name="Tall stature"),
]
PARENTS = {"F:1": ["F:0"], "F:2": ["F:1"], "F:3": ["F:1"], "F:4": ["F:0"]}
SHARES = {
    ("D:0", "F:2"): 0.8,
    ("D:0", "F:4"): 0.9,
    ("D:1", "F:2"): 0.5,
    ("D:1", "F:3"): 0.7,
    ("D:2", "F:1"): 0.2,
}
BELOW = {"F:0": FINDINGS, "F:1": FINDINGS[1:4], "F:2": [FINDINGS[2]], "F:3": [FINDINGS[3]]}


def model(**options: Any) -> DiseaseModel:
    annotations = [Annotation(d, f, share) for (d, f), share in SHARES.items()]
    return DiseaseModel(DISEASES, FINDINGS, annotations, PARENTS, **options)


def shown(disease: str, finding: str) -> float:
    """How often a disease shows a finding, from the definition alone."""

    def own(one: str) -> float:
        below = [f.id for f in BELOW.get(finding, [FINDINGS[4]])]
        return min(max((SHARES.get((one, f), 0.0) for f in below), default=0.0), CEILING)

    mean = sum(own(one.id) for one in DISEASES) / len(DISEASES)
    return max(own(disease), min(max(mean, 0.5 / len(DISEASES)), CEILING))


def recorded(disease: str, finding: str, coarse: float) -> float:
    """How often a finding is what gets recorded, from the definition alone."""
    itself = min(SHARES.get((disease, finding), 0.0), CEILING)
    return max(itself, coarse * shown(disease, finding), shown("D:none", finding))


some = st.lists(st.sampled_from([f.id for f in FINDINGS]), max_size=4, unique=True)


def information(disease: str, finding: str) -> float:
    """What a disease has in common with a finding: the rarest of it and what is above it."""
    above = [finding]
    for one in above:
        above += PARENTS.get(one, ())
    bearers = {one: [d.id for d in DISEASES if own_or_below(d.id, one)] for one in above}
    held = [one for one in above if disease in bearers[one]]
    return max((math.log(len(DISEASES) / len(bearers[one])) for one in held), default=0.0)


def own_or_below(disease: str, finding: str) -> bool:
    return any(
        one == disease and (had == finding or finding in ancestors(had)) for one, had in SHARES
    )


def ancestors(finding: str) -> set[str]:
    above = set(PARENTS.get(finding, ()))
    return above.union(*map(ancestors, above)) if above else above


@given(some, some, st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0.1, 1))
def test_the_posterior_is_bayes_rule_written_out(
    present: list[str], absent: list[str], weighed: list[float], coarse: float
) -> None:
    absence, prior, likeness, unrecorded = weighed
    priors = {"D:0": 0.5, "D:1": 2.0}
    plain = []
    for disease in DISEASES:
        value = priors.get(disease.id, 1.25) ** prior
        for finding in present:
            value *= recorded(disease.id, finding, coarse)
            value *= math.exp(likeness * information(disease.id, finding))
        for finding in absent:
            value *= (1 - shown(disease.id, finding)) ** absence
        own = [share for (one, _), share in SHARES.items() if one == disease.id]
        value *= math.exp(-unrecorded * sum(own))
        plain.append(value)
    weights = Weights(
        absence=absence, coarse=coarse, prior=prior, likeness=likeness, unrecorded=unrecorded
    )
    got = model(weights=weights, priors=priors).posterior(present, absent)
    assert got.tolist() == pytest.approx([value / sum(plain) for value in plain])


def test_a_general_finding_is_shown_by_whoever_shows_a_special_one() -> None:
    plain = Weights(likeness=0.0, unrecorded=0.0)
    first, second, third = model(weights=plain).rank(["F:1"])
    assert (first.disease.id, second.disease.id, third.disease.id) == ("D:0", "D:1", "D:2")


def test_the_next_question_has_the_greatest_mutual_information() -> None:
    one = model()
    posterior = one.posterior(["F:2"])

    def entropy(p: float) -> float:
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    def gain(finding: str) -> float:
        shares = [shown(d.id, finding) for d in DISEASES]
        mixed = sum(p * s for p, s in zip(posterior, shares, strict=True))
        return entropy(mixed) - sum(p * entropy(s) for p, s in zip(posterior, shares, strict=True))

    _, asked = one.consult(["F:2"], [], 1)
    assert asked is not None
    assert gain(asked.id) == pytest.approx(max(gain("F:3"), gain("F:4")))
    assert one.consult(["F:2"], [asked.id], 1)[1] != asked
    assert one.consult(["F:2", "F:3", "F:4"], [], 1)[1] is None


def test_diseases_that_fit_are_a_set_intersection() -> None:
    assert [d.id for d in model().fitting(["F:1"])] == ["D:0", "D:1", "D:2"]
    assert [d.id for d in model().fitting(["F:2", "F:4"])] == ["D:0"]
    assert model().fitting(["F:3", "F:4"]) == ()


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: DiseaseModel([], [], [], {}), "at least one disease, got none"),
        (lambda: Weights(absence=2.0), r"must be in \[0, 1\] .*absence=2.0"),
        (lambda: Weights(coarse=0.0), r"coarse in \(0, 1\], got .*coarse=0.0"),
        (lambda: model().posterior(["F:9"]), "the disease model has no finding 'F:9'"),
        (
            lambda: DiseaseModel(DISEASES, FINDINGS, [Annotation("D:0", "F:1", 1.5)], {}),
            "got 'D:0', 'F:1', 1.5",
        ),
    ],
    ids=["empty", "absence", "coarse", "finding", "share"],
)
def test_a_wrong_model_or_question_is_refused(call: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        call()


def run(one: Tool, **arguments: Any) -> ToolResult:
    return ToolBox([one]).run(ToolCall(id="0.0", name=one.name, arguments=arguments))


def test_diagnose_takes_names_and_tells_the_next_question() -> None:
    lines = run(Diagnose(model(), k=2), present=["displaced LENS"]).text.splitlines()
    assert lines[0].startswith("[1] Disease 0 (D:0): ")
    assert len(lines) == 3
    assert lines[2].startswith("Most telling to ask next: ")


def test_a_consultation_ranks_as_a_ranking_does() -> None:
    one = model()
    for present, absent in ((["F:2"], []), (["F:1"], ["F:4"]), (["F:2", "F:3", "F:4"], [])):
        ranked, _ = one.consult(present, absent, 2)
        assert ranked == one.rank(present, absent, 2)


def test_ties_are_ranked_by_id_wherever_the_list_is_cut() -> None:
    diseases = [Entity(id=f"D:{i:03}", kind="disease", name=f"D{i}") for i in range(100)]
    annotations = [Annotation(one.id, "F:2", 0.5) for one in diseases[40:60]]
    many = DiseaseModel(diseases, FINDINGS, annotations, PARENTS)
    order = [*diseases[40:60], *diseases[:40], *diseases[60:]]
    for k in (1, 7, 20, 21, 99, 100, 500):
        assert [one.disease for one in many.rank(["F:2"], k=k)] == order[:k]


def test_parents_in_a_circle_or_a_very_long_line_are_all_above() -> None:
    findings = [Entity(id=f"F:{i:04}", kind="phenotype", name=f"F{i}") for i in range(3000)]
    line = {f"F:{i:04}": [f"F:{i + 1:04}"] for i in range(2999)}
    circle = {**line, "F:2999": ["F:2997"]}
    annotations = [Annotation("D:0", "F:0000", 0.8)]
    for parents in (line, circle):
        one = DiseaseModel(DISEASES, findings, annotations, parents)
        assert one.ancestors(0) == tuple(range(3000))
        assert one.implies("F:0000", "F:2999")
        assert one.fitting(["F:2999"]) == (DISEASES[0],)
    assert one.ancestors(2998) == (2998, 2997, 2999)


def test_diagnose_runs_off_the_event_loop() -> None:
    here, seen = threading.get_ident(), []

    class Watched(DiseaseModel):
        def posterior(self, *given: Any) -> Any:
            seen.append(threading.get_ident())
            return super().posterior(*given)

    watched = Watched(DISEASES, FINDINGS, [Annotation("D:0", "F:2", 0.8)], PARENTS)
    call = ToolCall(id="0.0", name="diagnose", arguments={"present": ["Myopia"]})
    result = asyncio.run(ToolBox([Diagnose(watched)]).arun(call))
    assert result.status == "ok"
    assert seen
    assert here not in seen


def test_a_call_gives_a_bounded_number_of_findings() -> None:
    one = Diagnose(model())
    names = ["Myopia", "Tall stature"] * (MAX_FINDINGS // 2)
    assert run(one, present=names[1:], absent=["Myopia"]).status == "ok"
    refused = run(one, present=names, absent=["Myopia"])
    assert refused.status == "bad_call"
    assert str(MAX_FINDINGS) in refused.text
    assert str(MAX_FINDINGS + 1) in refused.text


def test_similar_names_are_shown_for_the_first_unknown_ones_only() -> None:
    wrong = [f"Ectopia lentos {i}" for i in range(MAX_SUGGESTIONS + 4)]
    told = run(Diagnose(model()), present=["Myopia", *wrong])
    assert told.status == "ok"
    assert told.text.count("did you mean 'Ectopia lentis'") == MAX_SUGGESTIONS
    assert told.text.endswith("4 more names are no findings either")
    assert run(Diagnose(model()), present=wrong).status == "bad_call"
    huge = run(Diagnose(model()), present=["\U0001f9ec" * 100_000] * MAX_FINDINGS)
    assert len(huge.text) < 1_000


def test_diagnose_says_what_it_does_not_know() -> None:
    told = run(Diagnose(model()), present=["Myopia", "Ectopia lentos"])
    assert told.status == "ok"
    assert told.text.endswith(
        "no finding is named 'Ectopia lentos'; did you mean 'Ectopia lentis'?"
    )
    assert run(Diagnose(model()), present=["qqq"]).status == "bad_call"
    assert run(Diagnose(model()), present=[]).text == "name at least one finding that is present"


PATIENTS = [
    Patient(id="CASE:1", disease="D:0", present=("F:2", "F:4")),
    Patient(id="CASE:2", disease="D:0", present=("F:2",), absent=("F:3",), complete=False),
]


@pytest.mark.parametrize(
    ("patient", "finding", "status", "text"),
    [
        ("CASE:1", "Ectopia lentis", "ok", "Ectopia lentis: present."),
        ("case:1", "displaced lens", "ok", "Ectopia lentis: present."),
        ("CASE:1", "Abnormal eye", "ok", "Abnormal eye: present (Ectopia lentis)."),
        ("CASE:1", "Myopia", "ok", "Myopia: absent."),
        ("CASE:2", "Myopia", "ok", "Myopia: absent."),
        ("CASE:2", "Tall stature", "empty", "Tall stature: not on record."),
        (
            "CASE:3",
            "Myopia",
            "bad_call",
            "there is no patient 'CASE:3': use the id in the question",
        ),
        ("CASE:1", "myopa", "bad_call", "no finding is named 'myopa'; did you mean 'Myopia'?"),
    ],
)
def test_findings_come_out_as_they_are_asked_for(
    patient: str, finding: str, status: str, text: str
) -> None:
    told = run(Ask(PATIENTS, model()), patient=patient, finding=finding)
    assert (told.status, told.text) == (status, text)


def test_what_is_present_counts_as_evidence() -> None:
    ask = Ask(PATIENTS, model())
    assert run(ask, patient="CASE:1", finding="Abnormal eye").passages == ("CASE:1/F:2",)
    assert run(ask, patient="CASE:1", finding="Myopia").passages == ()


@pytest.mark.parametrize(
    ("request_", "status", "told"),
    [
        ("examine the eyes", "ok", "Ectopia lentis: present; Myopia: absent."),
        ("How tall is the patient? stature", "ok", "Tall stature: present."),
        ("family history", "empty", "family history: not on record."),
        ("MRI of the brain", "empty", "MRI of the brain: not on record."),
        ("", "empty", ": not on record."),
    ],
)
def test_a_request_in_ones_own_words_is_answered_from_the_record(
    request_: str, status: str, told: str
) -> None:
    present, absent = ("F:2", "F:4"), ("F:3",)
    one = Patient(id="CASE:1", disease="D:0", present=present, absent=absent, complete=False)
    result = run(Ask([one], model()), patient="CASE:1", finding=request_)
    assert (result.status, result.text) == (status, told)


def test_a_test_shows_only_what_such_a_test_can_show() -> None:
    names = {
        "B:0": "Any finding",
        "B:1": "Abnormal brain morphology",
        "B:2": "Gliosis",
        "B:3": "Abnormal brain physiology",
        "B:4": "Brain fog",
        "B:5": "Abnormal circulating lactate concentration",
        "B:6": "Raised lactate",
        "B:7": "Abnormal tooth count",
    }
    findings = [Entity(id=key, kind="phenotype", name=name) for key, name in names.items()]
    parents = {"B:2": ["B:1"], "B:4": ["B:3"], "B:6": ["B:5"]}
    record = Patient(id="CASE:1", disease="D:0", present=("B:4", "B:2", "B:6", "B:7"))
    ask = Ask([record], DiseaseModel(DISEASES, findings, [], parents))
    told = {
        request: run(ask, patient="CASE:1", finding=request).text
        for request in ("MRI of the brain", "examine the brain", "laboratory tests", "an ECG")
    }
    assert told == {
        "MRI of the brain": "Gliosis: present.",
        "examine the brain": "Brain fog: present; Gliosis: present.",
        "laboratory tests": "Raised lactate: present.",
        "an ECG": "an ECG: not on record.",
    }


def test_what_shares_most_words_with_a_request_is_told_first() -> None:
    names = ("Short hand", "Broad hand", "Narrow foot", "Short broad hand")
    findings = [Entity(id=f"H:{i}", kind="phenotype", name=name) for i, name in enumerate(names)]
    record = Patient(id="CASE:1", disease="D:0", present=("H:0", "H:2", "H:3"), absent=("H:1",))
    told = run(
        Ask([record], DiseaseModel(DISEASES, findings, [], {})),
        patient="CASE:1",
        finding="broad or short hands?",
    )
    assert told.text == "Short broad hand: present; Short hand: present; Broad hand: absent."


def test_a_question_too_broad_is_not_answered() -> None:
    findings = [
        *FINDINGS,
        *[Entity(id=f"F:1{i}", kind="phenotype", name=f"F{i}") for i in range(4)],
    ]
    parents = {**PARENTS, **{f"F:1{i}": ["F:0"] for i in range(4)}}
    broad = DiseaseModel(DISEASES, findings, [], parents)
    patient = Patient(id="CASE:1", disease="D:0", present=("F:10", "F:11", "F:12", "F:13"))
    told = run(Ask([patient], broad), patient="CASE:1", finding="Any finding")
    assert told.text == "Any finding: present, in 4 ways; ask more precisely: F0, F1, F2, F3."
    assert told.passages == ()
