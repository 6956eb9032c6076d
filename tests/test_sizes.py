"""The package stays small in its parts: rooms, files and lists of parameters."""

import importlib
import inspect
import statistics
from pathlib import Path

import pytest

from jaxscat.minimization.lanes import advance

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "jaxscat").rglob("*.py"))
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in FILES
    if path.name != "__main__.py"
]


def entries(folder):
    """Files and folders at the top of a folder, but markers, notebooks and what Python makes."""
    no_rooms = (".", "__pycache__", "py.typed", "notebooks")
    return [path for path in folder.iterdir() if not path.name.startswith(no_rooms)]


def test_there_are_few_rooms():
    assert len(entries(ROOT / "jaxscat")) + len(entries(ROOT / "experiments")) <= 25


def test_files_hold_one_idea():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert [str(path) for path, count in lines.items() if count > 300] == []
    assert statistics.median(lines.values()) <= 150


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_have_at_most_twelve_parameters(name):
    module = importlib.import_module(name)
    for function in vars(module).values():
        # Those of this module, compiled ones too; what a dataclass makes of its fields is no list.
        if not inspect.isroutine(inspect.unwrap(function)) or function.__module__ != name:
            continue
        if function.__name__.startswith("_") or function.__name__ == "make_target":
            continue
        # Of the function itself: a command shows the fields of its options as parameters.
        code = inspect.unwrap(function).__code__
        assert code.co_argcount + code.co_kwonlyargcount <= 12, function.__name__


def test_the_step_of_the_device_takes_four_operands():
    assert len(inspect.signature(advance).parameters) <= 4
