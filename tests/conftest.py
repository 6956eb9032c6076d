"""Tests run in float64, unless they ask for float32, and without most optimizations of XLA."""

import collections
import ctypes
import functools
import gc
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
        # Programs of tests are too small to be worth the threads that share their compilation.
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        )

# healpy's threads wait for each other in a loop: beside other processes a transform of a small map
# takes a thousand times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Commands would keep programs in the home folder, and go on to do so after their test.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "0"

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

# Compiled functions serve all modules of a process, until it holds this number of bytes.
MOST_MEMORY = 3e9
# Traces are made of millions of small objects, of which the collector finds few to be free: by
# default its searches take a tenth of the time.
gc.freeze()
gc.set_threshold(100_000, 50, 50)


def resident_memory() -> float:
    """Bytes of this process that are in memory; infinite where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("inf")
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(autouse=True)
def precision_is_kept():
    """Whatever a test or a command that it calls does to it, the next one begins in float64."""
    before = jax.config.jax_enable_x64
    yield
    if jax.config.jax_enable_x64 != before:
        jax.config.update("jax_enable_x64", before)


@pytest.fixture(autouse=True, scope="module")
def memory_is_bounded():
    yield
    if resident_memory() > MOST_MEMORY:
        jax.clear_caches()
        # What is freed would count as resident, and the next modules would clear again.
        give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if give_back is not None:
            give_back(0)


def pytest_addoption(parser):
    parser.addoption(
        "--compilations", action="store_true", help="count the programs that each module compiles"
    )


def pytest_configure(config):
    if config.getoption("--compilations"):
        config.pluginmanager.register(Compilations())


class Compilations:
    """Counts the programs that XLA compiles during each test, in processes of xdist too."""

    def __init__(self):
        self.seconds = []
        self.modules = collections.defaultdict(list)
        jax.monitoring.register_event_duration_secs_listener(self.listen)

    def listen(self, event, duration, **_):
        if "backend_compile" in event:
            self.seconds.append(duration)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        if call.when == "teardown":
            item.user_properties.append(("compilations", self.seconds))
            self.seconds = []

    def pytest_runtest_logreport(self, report):
        seconds = dict(report.user_properties).get("compilations", [])
        self.modules[report.nodeid.split("::")[0]] += seconds

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("compilations")
        for name, seconds in sorted(self.modules.items(), key=lambda item: -sum(item[1])):
            terminalreporter.line(f"{len(seconds):6d} programs {sum(seconds):7.1f} s  {name}")


@pytest.fixture(scope="session")
def pyramids():
    """Builds a pyramid, in float64 unless told otherwise, once in a process."""
    from jaxscat.operators.pyramid import build_pyramid

    return functools.cache(functools.partial(build_pyramid, dtype="float64"))


@pytest.fixture(scope="session")
def pyramid(pyramids):
    return pyramids(4)


@pytest.fixture(scope="session")
def original():
    return np.random.default_rng(0).gamma(2.0, size=192)


@pytest.fixture(scope="session")
def target(pyramid, original):
    """All scales count, so that a synthesis takes long enough to be interrupted and refilled."""
    from jaxscat.objectives.make_target import make_target

    return make_target(original, pyramid, coarsest_nside=1, weights="plain")


class NoFigure:
    def savefig(self, file, **_):
        pass

    def get_layout_engine(self):
        pass


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


@pytest.fixture(scope="session")
def compilations():
    """A list that grows whenever a program is compiled."""
    found = []

    def listen(event, duration, **_):
        if "backend_compile" in event:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return found
