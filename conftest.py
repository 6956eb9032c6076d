"""Set-up of the examples in docstrings, which pytest runs as tests."""

import pytest


@pytest.fixture(autouse=True)
def folder_of_examples(request):
    """Run every example in an empty folder, since some of them write files."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
