"""The code of the page on losses runs as it stands there."""

import contextlib
import io
import re
from pathlib import Path

import jax

PAGE = Path(__file__).parents[1] / "docs" / "losses.md"


def test_code_of_the_page_runs_from_top_to_bottom():
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    shown = io.StringIO()
    with jax.enable_x64(False), contextlib.redirect_stdout(shown):
        namespace = {}
        for block in blocks:
            exec(compile(block, PAGE.name, "exec"), namespace)
    lines = shown.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["histogram", "scattering"]
    shown_by_positive = lines.pop(4)
    assert lines[2:] == ["True", "['rest', 'web'] step limit", "(4,) (4, 768)"]
    assert shown_by_positive.startswith("least pixel 0.")
    positive = namespace["positive"]
    assert positive.map.min() > 0 and positive.loss < positive.losses[0] / 10
    result = namespace["result"]
    for values in result.terms.values():
        assert values[-1] < values[0] / 3
    assert namespace["losses"].shape == (4,)
