"""Make trajectories for supervised fine-tuning, guided and exploring, from proved questions.

Teachers play the training questions in the real environment; filters with counted reasons and a
leak detector decide what is kept. Without a model it takes minutes; any OpenAI-compatible endpoint
may teach instead. Stop it however you like: the same command goes on, and a larger n extends the
set. It leaves out learning: recipes/sft.py does that.

    python recipes/trajectories.py teacher=oracle
    python recipes/trajectories.py set=tiny tokenizer=models/tiny_policy
    python recipes/trajectories.py teacher=openai teacher.endpoint.url=URL teacher.endpoint.model=M
"""

from pathlib import Path

import hydra
import msgspec
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from medenv.errors import UsageError
from medenv.integrations.hydra.launching import launch, told_in_one_line
from medenv.integrations.verl.progress import steps_bar
from medenv.trajectories.run import make_trajectories
from medenv.trajectories.settings import TrajectorySettings

console = Console()


def settings_of(config: DictConfig) -> TrajectorySettings:
    """Return the composed config as settings; a misspelt name is an error."""
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    if not isinstance(plain, dict):
        raise UsageError(f"expected a mapping in the config, got {type(plain).__name__}")
    ours = ("n", "seed", "tokenizer")
    chosen = {str(name): value for name, value in plain.items() if name not in ours}
    chosen |= chosen.pop("medenv")
    try:
        return msgspec.convert(chosen, TrajectorySettings)
    except msgspec.ValidationError as error:
        raise UsageError(f"config: {error}") from error


def write_tokens(settings: TrajectorySettings, policy: str) -> None:
    """Write the set as token ids with loss masks, for verl's SFT trainer."""
    from medenv.integrations.hf.chat_tokens import ChatTokens, open_tokenizer
    from medenv.integrations.verl.finetuning import write_chats_as_examples
    from medenv.trajectories.exports import read_chats

    path, longest = Path(settings.folder) / "lessons.parquet", settings.limits.tokens
    chats = read_chats(Path(settings.folder))
    kept, long = write_chats_as_examples(path, chats, ChatTokens(open_tokenizer(policy)), longest)
    console.print(f"{kept:,} examples in {path}; {long:,} left out, longer than {longest:,} tokens")


def run(settings: TrajectorySettings) -> None:
    """Make the set under a bar, and say what it holds."""
    with steps_bar(settings.plan.n, "preparing", console) as bar:

        def say(what: str) -> None:
            console.print(f"  {what} ...")

        def report(done: int, judged: int) -> None:
            bar(done, f"accepted, of {judged:,} played")

        card = make_trajectories(settings, say, report)
    total = sum(card.parts.values())
    parts = ", ".join(f"{count:,} {part}" for part, count in card.parts.items())
    specialties = len(card.specialties.keys() - {"none"})
    console.print(
        f"{total:,} trajectories in {settings.folder} ({parts}): {card.calls.mean:.2f} tool calls "
        f"each, {specialties} specialties, {card.leaks} leaks; {card.acknowledgement}"
    )
    if total < card.wanted:
        console.print(
            f"[yellow]{card.wanted:,} were asked for:[/yellow] the questions are used up; raise "
            "questions.n and give the same command"
        )


@hydra.main(version_base="1.3", config_path="../conf", config_name="trajectories")
def main(config: DictConfig) -> None:
    """Make the set, and turn failures into one line."""
    with told_in_one_line():
        settings = settings_of(config)
        run(settings)
        if config.tokenizer:
            write_tokens(settings, config.tokenizer)


if __name__ == "__main__":
    launch(main)
