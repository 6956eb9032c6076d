"""Imports go one way, and `import jaxscat` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxscat"

# The rooms, each of which imports only from itself and from those before it.
ROOMS = [
    "reasons",
    "maps",
    "progress",
    "harmonics",
    "datasets",
    "io",
    "fields",
    "operators",
    "statistics",
    "parametrizations",
    "objectives",
    "minimization",
    "synthesis",
    "reconstruction",
    "inference",
    "validation",
    "plotting",
    "report",
    "run",
    "cli",
]
RANK = {name: rank for rank, name in enumerate(ROOMS)}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports(source: str) -> set[str]:
    """Every module that a source names in an import, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def upward(name: str, source: str) -> list[str]:
    """The imports of a module (by the first part of its name) that break the order."""
    own = [target.split(".") for target in imports(source) if target.split(".")[0] == "jaxscat"]
    return sorted(
        ".".join(parts)
        for parts in own
        if len(parts) < 2 or parts[1] not in RANK or RANK[parts[1]] > RANK[name]
    )


def first_part(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_points_upwards(path):
    name = first_part(path)
    assert name in RANK, f"{path.name} has no room yet: add it to ROOMS"
    assert upward(name, path.read_text(encoding="utf-8")) == []


def test_the_check_sees_imports_that_point_upwards():
    assert upward("operators", "from jaxscat.statistics import scattering") != []
    assert upward("statistics", "def f():\n    import jaxscat.cli.main") != []
    assert upward("statistics", "from jaxscat import synthesis") != []
    assert upward("statistics", "import jaxscat") != []
    assert upward("statistics", "from jaxscat.operators.pyramid import Pyramid") == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_plotting_draws_and_only_the_command_line_sets_jax_up(path):
    source = path.read_text(encoding="utf-8")
    drawing = {target.split(".")[0] for target in imports(source)} & {"matplotlib", "pylab"}
    assert not drawing or first_part(path) == "plotting"
    if first_part(path) != "cli":
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        names = {ast.unparse(call.func) for call in calls}
        assert not names & {"print", "jax.config.update", "config.update"}


def test_import_is_light_and_computes_nothing():
    heavy = ["matplotlib", "healpy.visufunc", "pylab", "torch", "foscat", "typer"]
    script = f"import sys, jaxscat\nprint([name for name in {heavy} if name in sys.modules])\n"
    # A platform that does not exist: a computation on import would fail.
    environment = {"JAX_PLATFORMS": "none_such", "PATH": "", "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
