"""Evaluate a policy on held-out questions by playing them in the environment.

Any Hugging Face folder through transformers or vLLM, or any OpenAI-compatible endpoint, answers the
questions that a set of trajectories was not made of. Beside an evaluation before it, differences
are taken within questions, with intervals, in a table and on a page. It leaves out benchmarks of
other people. Stop it however you like: the same command goes on.

    python recipes/evaluate.py run=before policy=tiny trajectories=outputs/...
    python recipes/evaluate.py run=after medenv.policy=outputs/sft/policy against=outputs/before ...
    python recipes/evaluate.py 'endpoint={url: http://localhost:8000/v1, model: NAME}' ...
"""

import hydra
import msgspec
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from medenv.errors import UsageError
from medenv.evaluation.run import Evaluation, EvaluationSettings, evaluate
from medenv.integrations.hydra.launching import launch, told_in_one_line
from medenv.integrations.verl.progress import steps_bar
from medenv.report.formatting import show, span
from medenv.report.headline import rich_table

console = Console()


def settings_of(config: DictConfig) -> EvaluationSettings:
    """Return the composed config as settings; a misspelt name is an error."""
    plain = OmegaConf.to_container(config, resolve=True)
    if not isinstance(plain, dict):
        raise UsageError(f"expected a mapping in the config, got {type(plain).__name__}")
    others = ("run", "medenv", "actor_rollout_ref", "data")  # the last two are a preset's
    chosen = {str(name): value for name, value in plain.items() if name not in others}
    chosen |= {"policy": plain["medenv"]["policy"], "questions": chosen.pop("n")}
    try:
        return msgspec.convert(chosen, EvaluationSettings)
    except msgspec.ValidationError as error:
        raise UsageError(f"config: {error}") from error


def show_evaluation(settings: EvaluationSettings, done: Evaluation) -> None:
    """Print the figures, and beside an evaluation before, the table."""
    for name, summary in (("sampled", done.sampled), ("greedy", done.greedy)):
        if summary is not None:
            found = summary.measures["accuracy"]
            console.print(
                f"{name}: accuracy {show(found.mean, 'share')}, 95 % {span(found, 'share')}, over "
                f"{summary.questions:,} held-out questions ({summary.episodes:,} episodes"
                + (f", {summary.missing:,} more missing, not right)" if summary.missing else ")")
            )
            for k, one in summary.pass_at.items():
                console.print(
                    f"  at least one of {k} right (pass@{k}): {show(one.mean, 'share')}; "
                    f"all of {k} (pass^{k}): {show(summary.pass_hat[k].mean, 'share')}"
                )
    if done.rows:
        console.print(rich_table(done.rows, f"{settings.against} and {settings.folder}"))
        console.print(f"wrote {settings.folder}/report.html")


@hydra.main(version_base="1.3", config_path="../conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    """Evaluate, and turn failures into one line."""
    with told_in_one_line():
        settings = settings_of(config)
        with steps_bar(1, "preparing", console) as bar:
            done = evaluate(
                settings,
                lambda what: console.print(f"  {what} ..."),
                lambda now, total: bar(now, f"{total:,} episodes", total),
            )
        show_evaluation(settings, done)


if __name__ == "__main__":
    launch(main)
