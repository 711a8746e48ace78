"""The process in which a validation between two stages of fine-tuning is played."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from medenv.evaluation.run import EvaluateSettings, evaluate
from medenv.io import read_json


def main(folder: Path) -> None:
    """Evaluate as the folder's settings say, and note how far it is.

    Args:
        folder: The evaluation's folder, with its `settings.json`.
    """
    settings = read_json(folder / "settings.json", EvaluateSettings)
    with (folder / "progress.jsonl").open("a") as progress:

        def report(done: int, total: int) -> None:
            progress.write(json.dumps({"step": done, "data": {"total": total}}) + "\n")
            progress.flush()

        evaluate(settings, report=report)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
