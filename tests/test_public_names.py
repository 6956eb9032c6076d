"""What `import jaxscat` offers, and the types that checkers see."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jaxscat

ROOT = Path(__file__).parents[1]


def test_all_lists_the_public_names():
    public = {
        name
        for name, value in vars(jaxscat).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert set(jaxscat.__all__) == public | {"__version__"}
    assert len(jaxscat.__all__) == len(set(jaxscat.__all__))


def test_version_is_that_of_the_package():
    assert jaxscat.__version__ == importlib.metadata.version("jaxscat")


def test_version_of_sources_that_are_not_installed(tmp_path):
    (tmp_path / "jaxscat").symlink_to(ROOT / "jaxscat")
    script = (
        "import importlib.metadata as m\n"
        "of = m.version\n"
        "def none(name):\n"
        "    if name == 'jaxscat': raise m.PackageNotFoundError(name)\n"
        "    return of(name)\n"
        "m.version = none\n"
        "import jaxscat; print(jaxscat.__version__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.strip() == "unknown"


def test_types_are_part_of_the_package():
    assert (ROOT / "jaxscat" / "py.typed").read_bytes() == b""
