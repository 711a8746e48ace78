"""Make trajectories for supervised fine-tuning, guided and exploring, from proved questions.

Teachers play the training questions in the real environment; filters with counted reasons and a
leak detector decide what is kept. Without a model it takes minutes; any OpenAI-compatible endpoint
may teach instead. Stop it however you like: the same command goes on, and a larger n extends the
set. It leaves out learning: recipes/sft.py does that.

    python recipes/trajectories.py teacher=oracle
    python recipes/trajectories.py questions=outputs/questions-rare_chains-7
    python recipes/trajectories.py set=tiny tokenizer=models/tiny_policy
    python recipes/trajectories.py teacher=openai teacher.endpoint.url=URL teacher.endpoint.model=M
"""

import hydra
from omegaconf import DictConfig
from rich.console import Console

from medenv.integrations.hydra.config import register_schema, settings_of
from medenv.integrations.hydra.launching import CONF, launch, told_in_one_line
from medenv.report.progress import steps_bar
from medenv.trajectories.run import make_trajectories
from medenv.trajectories.settings import TrajectorySettings

console = Console()
register_schema("trajectories", TrajectorySettings)


def write_tokens(settings: TrajectorySettings, policy: str) -> None:
    """Write the set as token ids with loss masks, for verl's SFT trainer."""
    from medenv.integrations.hf.chat_tokens import ChatTokens, open_tokenizer
    from medenv.integrations.verl.finetuning import write_chats_as_examples
    from medenv.trajectories.exports import read_chats

    path, longest = settings.target / "lessons.parquet", settings.limits.tokens
    chats = read_chats(settings.target)
    kept, long = write_chats_as_examples(path, chats, ChatTokens(open_tokenizer(policy)), longest)
    console.print(f"{kept:,} examples in {path}; {long:,} left out, longer than {longest:,} tokens")


def make(settings: TrajectorySettings) -> None:
    """Make the set under a bar, and say what it holds."""
    with steps_bar(settings.played.n, "preparing", console) as bar:

        def say(what: str) -> None:
            console.print(f"  {what} ...")

        def report(done: int, judged: int) -> None:
            bar(done, f"accepted, of {judged:,} played")

        card = make_trajectories(settings, say, report)
    total = sum(card.parts.values())
    parts = ", ".join(f"{count:,} {part}" for part, count in card.parts.items())
    specialties = len(card.specialties.keys() - {"none"})
    console.print(
        f"{total:,} trajectories in {settings.target} ({parts}): {card.calls.mean:.2f} tool calls "
        f"each, {specialties} specialties, {card.leaks} leaks; {card.acknowledgement}"
    )
    if total < card.wanted:
        console.print(
            f"[yellow]{card.wanted:,} were asked for:[/yellow] the questions are used up; raise "
            "questions.n and give the same command"
        )


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="trajectories")
def main(config: DictConfig) -> None:
    """Make the set, and turn failures into one line."""
    with told_in_one_line():
        settings = settings_of(config, TrajectorySettings)
        make(settings)
        if settings.tokenizer:
            write_tokens(settings, settings.tokenizer)


def run() -> None:
    """Run the command line."""
    launch(main)


if __name__ == "__main__":
    run()
