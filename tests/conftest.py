"""Tests run in float64, unless they ask for float32, and without most optimizations of XLA."""

import importlib.util
import os
from contextlib import contextmanager
from pathlib import Path

import jaxlib.version

# Compiling takes most of the time of small programs; `XLA_FLAGS= pytest` runs them optimized, as
# users do, in twice the time. jaxlib ends the process at a flag that it does not know.
if "XLA_FLAGS" not in os.environ:
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    if (0, 6) <= jaxlib.version.__version_info__ < (0, 11):
        os.environ["XLA_FLAGS"] = "--xla_cpu_use_fusion_emitters=false"

# healpy's threads wait for each other in a loop: beside other processes a transform of a small map
# takes a thousand times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import pytest

jax.config.update("jax_enable_x64", True)


@pytest.fixture(autouse=True, scope="module")
def compiled_functions_are_forgotten():
    """They would fill gigabytes by the end, and modules share few of them."""
    yield
    jax.clear_caches()


class NoFigure:
    def savefig(self, path):
        path.touch()


@contextmanager
def no_figures_of_a_run():
    from jaxscat.run import report as run_report
    from jaxscat.run import results as run_results

    with pytest.MonkeyPatch.context() as patch:
        for name in ("plot_summary", "plot_ensemble"):
            patch.setattr(run_results, name, lambda *_, **__: NoFigure())
        patch.setattr(run_report, "plot_validation", lambda *_, **__: None)
        patch.setattr(run_report, "validation_figures", lambda *_, **__: {})
        patch.setattr(run_report, "figure_png", lambda _: b"")
        yield


@pytest.fixture(scope="session")
def no_figures():
    """A context within which runs have no figures."""
    return no_figures_of_a_run


@pytest.fixture
def without_figures():
    """They take most of the time of a short run, and few tests look at them."""
    with no_figures_of_a_run():
        yield


@pytest.fixture(scope="module")
def without_figures_in_module():
    """The same for runs that fixtures of a module make."""
    with no_figures_of_a_run():
        yield


@pytest.fixture(scope="session")
def shown_until_a_step():
    """A function that reads what a run shows on stderr until it has made a step."""

    def read(process):
        shown = ""
        for line in process.stderr:
            shown += line
            if "step" in line and "loss" in line:
                break
        return shown

    return read


@pytest.fixture(scope="session")
def reference():
    """The module of dense matrices beside this folder."""
    path = Path(__file__).parent / "reference.py"
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
