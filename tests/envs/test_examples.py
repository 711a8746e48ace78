"""The examples run and do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_agent_of_twenty_lines_answers_most_questions() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "agent.py")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    mean = re.search(r"mean reward (\d\.\d\d) over", done.stdout)
    assert mean is not None
    assert float(mean[1]) > 0.8
