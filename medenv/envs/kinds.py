"""Environments with other questions than `MedResearchEnv`, each with its datasheet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from medenv.envs.env import MedResearchEnv


class ClosedBookEnv(MedResearchEnv):
    """Answer a medical question from memory.

    ## Description
    The questions of `MedResearchEnv` without tools. It measures the policy's own knowledge, the
    baseline of all research.

    ## Action Space
    `UnicodeText`: the policy's answer, in the dialect of the environment.

    ## Observation Space
    `UnicodeText`: the prompt, then only the errors of a turn.

    ## Starting State
    As in `MedResearchEnv`.

    ## Rewards
    As in `MedResearchEnv`.

    ## Episode End
    Terminated when the agent answers, truncated after two turns.

    ## Information
    As in `MedResearchEnv`.

    ## Arguments
    As in `MedResearchEnv`; `tools` is empty.

    ## References
    As in `MedResearchEnv`.

    ## Version History
    v0: first version.

    ## Medical Scope and Limits
    As in `MedResearchEnv`. A right answer may be recalled or guessed; the certificate's `chance`
    is the probability of a correct guess.
    """


class DiagnosisEnv(MedResearchEnv):
    """Diagnose a patient's disease by examining, reasoning and reading.

    ## Description
    A patient presents with one or two findings. The agent learns other findings only through
    ``ask``; ``diagnose`` ranks diseases by findings, ``search`` and ``read`` give the literature.

    ## Action Space
    `UnicodeText`: one turn of the policy's text, in the dialect of the environment.

    ## Observation Space
    `UnicodeText`: the prompt, then the results of the tools.

    ## Starting State
    A case drawn uniformly, or the case given in ``reset(options={"question": ...})``.

    ## Rewards
    0 for every step except the last, which has the total of the score: the reciprocal of the right
    disease's rank among at most ten diagnoses; where the first one is right, a tenth more for its
    gene ("Gene: FBN1"), and a tenth for format.

    ## Episode End
    Terminated when the agent answers. Truncated when a budget is exhausted, by default 12 turns.

    ## Information
    As in `MedResearchEnv`. A finding that was revealed counts as a passage with the id
    ``"<patient>/<finding>"``. The id of a real patient is a hash of the id in the file, which often
    contains the gene; no id and no prompt contains disease, gene or article.

    ## Arguments
    `cases`: a number of simulated cases, or a JSONL file or folder of real cases. `graph`: the
    diseases and the frequencies of their findings. Others as in `MedResearchEnv`.

    ## References
    Robinson et al., Interpretable clinical genomics with a likelihood ratio paradigm (2020), for
    the ranking; Jacobsen et al., The GA4GH Phenopacket schema (2022), for real cases.

    ## Version History
    v0: first version.

    ## Medical Scope and Limits
    The findings of a simulated case are drawn independently with the graph's frequencies, and the
    case fits exactly one disease of the graph; it does not describe a real person. A real case has
    one recorded diagnosis, which is not proved to be the only one that fits, and an unrecorded
    finding is "not on record". A high score is no qualification to diagnose anyone.
    """


class AbstainEnv(MedResearchEnv):
    """Research a question that the corpus may not answer; the answer is then "unknown".

    ## Description
    The questions of `MedResearchEnv` over a corpus without the passages that state the last hop of
    some questions. If a question has no passage for one of its hops, the corpus has no answer to
    it, and the right answer is "unknown".

    ## Action Space
    `UnicodeText`: one turn of the policy's text, in the dialect of the environment.

    ## Observation Space
    `UnicodeText`: the prompt, then the results of the tools.

    ## Starting State
    As in `MedResearchEnv`; each question states that "unknown" is a valid answer.

    ## Rewards
    At the end 1 for the right answer, which may be "unknown"; a configured part for "unknown" if
    the corpus has an answer; 0 for a wrong answer; and a small part for format.

    ## Episode End
    As in `MedResearchEnv`.

    ## Information
    As in `MedResearchEnv`.

    ## Arguments
    `withhold`: share of questions whose last hop is withheld. Others as in `MedResearchEnv`.

    ## References
    Rajpurkar et al., Know What You Don't Know: Unanswerable Questions for SQuAD (2018).

    ## Version History
    v0: first version.

    ## Medical Scope and Limits
    "Unknown" means unknown to this corpus. The withheld facts are true, so a policy that answers
    from memory is wrong here although its answer may be true.
    """


ENVIRONMENT_CLASSES: Mapping[str, type[MedResearchEnv]] = MappingProxyType(
    {
        "medenv/Abstain-v0": AbstainEnv,
        "medenv/ClosedBook-v0": ClosedBookEnv,
        "medenv/Diagnosis-v0": DiagnosisEnv,
    }
)
"""Environment id to its class, if it is not `MedResearchEnv`."""
