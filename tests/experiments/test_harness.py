"""Ratios, alternation and environments of the benchmarks."""

import os

import numpy as np
import pytest

from experiments.benchmarks import harness


def test_a_ratio_is_the_median_over_pairs_with_the_error_of_a_median():
    random = np.random.default_rng(1)
    drift = 1 + random.random(4000)  # of the machine, the same for both of a pair
    noise = 1 + 0.01 * random.standard_normal(4000)
    found = harness.ratio_summary(list(zip(drift, 1.05 * drift * noise, strict=True)))
    error = 1.05 * 0.01 * np.sqrt(np.pi / 2 / 4000)
    assert found["ratio"] == pytest.approx(1.05, abs=4 * error)
    assert found["ratio_error"] == pytest.approx(error, rel=0.1)


def test_one_pair_that_was_disturbed_does_not_move_the_ratio():
    found = harness.ratio_summary([(1.0, 2.0)] * 12 + [(1.0, 50.0)])
    assert found == {"ratio": 2.0, "ratio_error": 0.0}


@pytest.mark.parametrize(("swap", "order"), [(False, "abbaab"), (True, "baabba")])
def test_calls_alternate_and_stay_in_their_places(swap, order):
    heard = []
    pairs = harness.alternate(
        lambda: heard.append("a") or ("a", len(heard)),
        lambda: heard.append("b") or ("b", len(heard)),
        3,
        swap,
    )
    assert "".join(heard) == order
    assert all(first == "a" and second == "b" for (first, _), (second, _) in pairs)


def test_times_of_a_pair_are_those_of_its_calls(monkeypatch):
    clock = iter([0.0, 1.0, 1.0, 4.0, 4.0, 10.0, 10.0, 12.0])
    monkeypatch.setattr(harness.time, "perf_counter", lambda: next(clock))
    assert harness.paired_times(lambda: None, lambda: None, 2) == [(1.0, 3.0), (2.0, 6.0)]


def test_a_checkout_comes_first_and_no_compiled_programs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "cache")
    with pytest.raises(ValueError, match="expected a folder with jaxscat in it"):
        harness.checkout_environment(tmp_path)
    (tmp_path / "jaxscat").mkdir()
    (tmp_path / "jaxscat" / "__init__.py").touch()
    found = harness.checkout_environment(tmp_path, JAX_ENABLE_X64="0")
    assert found["PYTHONPATH"].split(os.pathsep) == [str(tmp_path), "elsewhere"]
    assert found["JAX_ENABLE_X64"] == "0" and "JAX_COMPILATION_CACHE_DIR" not in found
