"""Evaluate a policy on the questions of any set by playing them in any environment.

Any Hugging Face folder through transformers or vLLM, or any OpenAI-compatible endpoint, answers the
questions. Beside an evaluation before it, differences are taken within questions, with intervals,
in a table and on a page. Stop it however you like: the same command goes on.

    python recipes/evaluate.py questions=outputs/questions-rare_chains-7 policy=tiny env=tiny
    python recipes/evaluate.py environment=outputs/cpu/environment.json policy=outputs/cpu/policy
    python recipes/evaluate.py questions=my.csv corpus=my.jsonl policy=http://localhost:8000/v1#NAME
    python recipes/evaluate.py run=closed closed_book=true against=outputs/before policy=... ...
    python recipes/evaluate.py run=after against=outputs/before policy=outputs/sft/policy ...
"""

import hydra
from omegaconf import DictConfig
from rich.console import Console

from medenv.evaluation.official import figure_text
from medenv.evaluation.run import EvaluateSettings, Evaluation, evaluate
from medenv.evaluation.summary import Summary
from medenv.integrations.hydra.config import register_schema, settings_of
from medenv.integrations.hydra.launching import CONF, launch, told_in_one_line
from medenv.report.contrast import contrast_table
from medenv.report.evaluation import PAGE, spent_in_words
from medenv.report.formatting import show, span
from medenv.report.headline import failure_table, rich_table
from medenv.report.progress import steps_bar

console = Console()
register_schema("evaluate", EvaluateSettings)


def show_side(side: str, summary: Summary) -> None:
    """Print the figures of sampled or of greedy episodes."""
    found = summary.measures["accuracy"]
    console.print(
        f"{side}: accuracy {show(found.mean, 'share')}, 95 % {span(found, 'share')}, over "
        f"{summary.questions:,} held-out questions ({summary.episodes:,} episodes"
        + (f", {summary.missing:,} more missing, not right)" if summary.missing else ")")
    )
    for k, one in summary.pass_at.items():
        console.print(
            f"  at least one of {k} right (pass@{k}): {show(one.mean, 'share')}; "
            f"all of {k} (pass^{k}): {show(summary.pass_hat[k].mean, 'share')}"
        )
    for name, of_set in summary.by.get("set", {}).items():
        console.print(
            f"  set {name}: accuracy {show(of_set.mean, 'share')}, 95 % {span(of_set, 'share')}",
            markup=False,
        )
    for name, figures in summary.official.items():
        told = ", ".join(f"{figure} {figure_text(figure, n)}" for figure, n in figures.items())
        console.print(f"  {name}: {told}")
    if summary.per_right:
        console.print(f"  for each right answer: {spent_in_words(summary)}")
    if summary.selective and summary.selective.levels:
        first = summary.selective.levels[0]
        console.print(
            f"  where its samples agree most ({show(first.coverage, 'share')} of questions)"
            f" it is right in {show(first.accuracy, 'share')}; mean risk over all "
            f"coverages {show(summary.selective.aurc, 'share')}"
        )
    if summary.failures:
        console.print(failure_table(summary.failures, f"why not right, {side}"))


def show_evaluation(settings: EvaluateSettings, done: Evaluation) -> None:
    """Print the figures, and beside an evaluation before, the table."""
    for side, summary in (("sampled", done.sampled), ("greedy", done.greedy)):
        if summary is not None:
            show_side(side, summary)
    console.print(f"page: {settings.folder / PAGE}", markup=False, soft_wrap=True)
    if done.contrast is not None:
        console.print(contrast_table(done.contrast))
    if done.rows:
        console.print(rich_table(done.rows, f"{settings.against} and {settings.folder}"))
        console.print(f"wrote {settings.folder}/report.html")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="evaluate")
def main(config: DictConfig) -> None:
    """Evaluate, and turn failures into one line."""
    with told_in_one_line():
        settings = settings_of(config, EvaluateSettings)
        with steps_bar(1, "preparing", console) as bar:
            done = evaluate(
                settings,
                lambda what: console.print(f"  {what} ..."),
                lambda now, total: bar(now, f"{total:,} episodes", total),
            )
        show_evaluation(settings, done)


def run() -> None:
    """Run the command line."""
    launch(main)


if __name__ == "__main__":
    run()
