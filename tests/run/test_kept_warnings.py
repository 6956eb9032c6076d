"""Warnings of a run are kept and still shown."""

import warnings

import pytest

from jaxscat.run.kept_warnings import keep_warnings


def test_warnings_are_kept_once_and_shown():
    with pytest.warns(UserWarning, match="approximate") as shown, keep_warnings() as kept:
        for text in ("it is approximate", "it is approximate", "in the compilation cache"):
            warnings.warn(text, stacklevel=1)
        warnings.warn("another kind", DeprecationWarning, stacklevel=1)
    assert kept == ["it is approximate"]
    assert {str(one.message) for one in shown} == {
        "it is approximate",
        "in the compilation cache",
        "another kind",
    }
    with pytest.warns(UserWarning, match="later"), warnings.catch_warnings():
        warnings.warn("later", stacklevel=1)
    assert kept == ["it is approximate"]
