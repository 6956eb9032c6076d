"""The code of the page on inference runs as it stands there, and its samplers agree."""

import contextlib
import io
import re
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "inference.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
)


def run(blocks, namespace):
    shown = io.StringIO()
    with jax.enable_x64(False), contextlib.redirect_stdout(shown):
        for block in blocks:
            exec(compile(block, PAGE.name, "exec"), namespace)
    return shown.getvalue().splitlines()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """What the code before the recipes has made and shown."""
    assert [("numpyro" in block, "sbi" in block) for block in BLOCKS[-2:]] == [
        (True, False),
        (False, True),
    ]
    namespace, folder = {}, tmp_path_factory.mktemp("page")
    with contextlib.chdir(folder):
        shown = run(BLOCKS[:-2], namespace)
        assert [path.name for path in folder.iterdir()] == ["fiducial.npz"]
    return namespace, shown


def test_code_of_the_page_runs_from_top_to_bottom(page):
    namespace, shown = page
    assert shown[0].startswith("(400, 32) S1 j=0 Im S3") and shown[1] == "(32, 2) True"
    assert shown[2] == "0.917 400" and shown[-1] == "(32, 2) True"
    assert 0 < namespace["errors"].min() < namespace["errors"].max() < 0.5


def distance(samples, page):
    """The mean of samples from the parameters of the observed map, in errors."""
    return (samples.mean(0) - page["truth"]) / page["errors"]


def test_numpyro_has_the_errors_of_the_fisher_matrix(page):
    pytest.importorskip("numpyro", reason="numpyro is not installed (extra `inference`)")
    namespace = dict(page[0])
    run(BLOCKS[-2:-1], namespace)
    linear = namespace["linear"]
    np.testing.assert_allclose(linear.std(0), namespace["errors"], rtol=0.2)
    # Of a linear model the mean is known.
    wanted = namespace["fiducial"] + np.linalg.solve(namespace["response"], namespace["compressed"])
    assert (np.abs(linear.mean(0) - wanted) < 0.25 * namespace["errors"]).all()
    assert (np.abs(distance(linear, namespace)) < 4).all()


def test_sbi_finds_the_parameters_of_the_observed_map(page):
    pytest.importorskip("sbi", reason="sbi is not installed (extra `inference`)")
    namespace = dict(page[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(BLOCKS[-1:], namespace)
    neural = namespace["neural"]
    assert (np.abs(distance(neural, namespace)) < 4).all()
    ratio = neural.std(0) / namespace["errors"]
    assert (ratio > 0.5).all() and (ratio < 3).all()
