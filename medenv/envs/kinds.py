"""The environments that differ from `MedResearchEnv` in what is asked, each with its datasheet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from medenv.envs.env import MedResearchEnv


class ClosedBookEnv(MedResearchEnv):
    """Answer a medical question from memory.

    ## Description
    The questions of `MedResearchEnv` without any tool: what a policy knows by itself, the baseline
    of all research.

    ## Action Space
    `UnicodeText`: the policy's answer, in the dialect of the environment.

    ## Observation Space
    `UnicodeText`: the prompt, then only what was wrong with a turn.

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
    says how easily.
    """


class DiagnosisEnv(MedResearchEnv):
    """Find out a patient's disease by examining, reasoning and reading.

    ## Description
    A patient comes with one or two findings. All others come out only as the agent asks for them by
    ``ask``; ``diagnose`` ranks diseases by findings, ``search`` and ``read`` show what is known.

    ## Action Space
    `UnicodeText`: one turn of the policy's text, in the dialect of the environment.

    ## Observation Space
    `UnicodeText`: the prompt, then what the tools gave back.

    ## Starting State
    A case drawn uniformly, or the one that ``reset(options={"question": ...})`` names.

    ## Rewards
    0 for every step but the last, and the total of the score at the end. The answer is the name of
    the disease, under any of its names.

    ## Episode End
    Terminated when the agent answers. Truncated when a budget runs out, by default 12 turns.

    ## Information
    As in `MedResearchEnv`. A finding that came out counts as a passage of the id
    ``"<patient>/<finding>"``. The id of a real patient is a hash of the id in the file, which often
    names the gene; no id and no prompt names disease, gene or article.

    ## Arguments
    `cases`: a number of simulated cases, or a file or folder of real ones, one JSON object a line.
    `graph`: the diseases and how often they show findings. Others as in `MedResearchEnv`.

    ## References
    Robinson et al., Interpretable clinical genomics with a likelihood ratio paradigm (2020), for
    the ranking; Jacobsen et al., The GA4GH Phenopacket schema (2022), for real cases.

    ## Version History
    v0: first version.

    ## Medical Scope and Limits
    A simulated case has findings drawn independently, each as often as the graph says, and fits one
    disease of the graph alone; nothing in it was seen in a person. A real case has one recorded
    diagnosis, which is not proved to be the only one that fits, and a finding that nobody wrote
    down is "not on record". Skill here is no licence to diagnose anyone.
    """


class AbstainEnv(MedResearchEnv):
    """Research a question that the corpus may not answer, and say so where it does not.

    ## Description
    The questions of `MedResearchEnv` over a corpus from which the passages that state the last hop
    of some of them are withheld. A question with no passage left for one of its hops has no answer,
    and the right answer to it is "unknown".

    ## Action Space
    `UnicodeText`: one turn of the policy's text, in the dialect of the environment.

    ## Observation Space
    `UnicodeText`: the prompt, then what the tools gave back.

    ## Starting State
    As in `MedResearchEnv`; each question says that "unknown" is an answer.

    ## Rewards
    At the end 1 for the right answer, "unknown" where there is none included; a declared part for
    "unknown" where there is an answer; nothing for a wrong answer; and a little for form.

    ## Episode End
    As in `MedResearchEnv`.

    ## Information
    As in `MedResearchEnv`.

    ## Arguments
    `withhold`: share of the questions whose last hop is withheld. Others as in `MedResearchEnv`.

    ## References
    Rajpurkar et al., Know What You Don't Know: Unanswerable Questions for SQuAD (2018).

    ## Version History
    v0: first version.

    ## Medical Scope and Limits
    "Unknown" means unknown to this corpus. What is withheld is true all the same, so a policy that
    answers from memory is wrong here although it may be right in the world.
    """


ENVIRONMENT_CLASSES: Mapping[str, type[MedResearchEnv]] = MappingProxyType(
    {
        "medenv/Abstain-v0": AbstainEnv,
        "medenv/ClosedBook-v0": ClosedBookEnv,
        "medenv/Diagnosis-v0": DiagnosisEnv,
    }
)
"""Ids to their classes, where it is not `MedResearchEnv`."""
