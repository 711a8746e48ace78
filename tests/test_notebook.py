"""The notebook runs from top to bottom, and shows what its text says."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[1] / "examples" / "first_steps.ipynb"


def test_its_cells_run_in_order_and_hold_no_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in code] == [[]] * len(code)
    shared: dict[str, Any] = {}
    printed = StringIO()
    with redirect_stdout(printed):
        for number, cell in enumerate(code, 1):
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), shared)
    assert "reward 1.3" in printed.getvalue()
    assert sum(shared["asked"].values()) == 20
    assert 0 < sum(shared["right"].values()) < 20
