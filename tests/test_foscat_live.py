"""The installed FOSCAT beside jaxscat on a small map; needs the extra `foscat`."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("foscat", reason="FOSCAT is not installed (extra `foscat`)")

GOLDEN = Path(__file__).parent / "golden"
EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture
def crosscheck(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    import foscat_crosscheck

    return foscat_crosscheck


@pytest.fixture
def golden():
    return np.load(GOLDEN / "foscat_nside8.npz")


def test_every_comparison_is_within_its_bounds(crosscheck, golden):
    rows = crosscheck.check_case(crosscheck.Case(8), golden["map"])
    assert [row.comparison for row in rows] == [c.title for c in crosscheck.COMPARISONS]
    assert [row.exceeded for row in rows] == [[], [], []]
    assert rows[0].coefficients == 1474


@pytest.mark.parametrize("quantity", ["s1", "s4", "sigma", "loss", "gradient"])
def test_a_wrong_number_is_noticed(crosscheck, golden, quantity):
    def numbers(factors):
        return crosscheck.Numbers(
            mean={g: golden[f"auto_{g}"] * factors.get(g, 1) for g in crosscheck.GROUPS},
            sigma={g: golden[f"auto_sigma_{g}"] for g in crosscheck.GROUPS}
            | {"s3": golden["auto_sigma_s3"] * factors.get("sigma", 1)},
            loss=float(golden["loss"]) * factors.get("loss", 1),
            gradient=golden["gradient"] * factors.get("gradient", 1),
        )

    comparison = crosscheck.COMPARISONS[0]
    off = numbers({quantity: 1 + 2 * comparison.bounds[quantity]})
    row = crosscheck.compare(comparison, crosscheck.Case(8), numbers({}), off)
    assert row.exceeded == [quantity]
    off = numbers({quantity: np.nan})
    assert crosscheck.compare(comparison, crosscheck.Case(8), numbers({}), off).exceeded == [
        quantity
    ]


def test_foscat_still_gives_the_stored_numbers(crosscheck, golden):
    from foscat_reference import Foscat

    mean, sigma = Foscat(geometry="exact").measure_with_sigma(golden["map"], golden["mask"])
    for group in crosscheck.GROUPS:
        assert crosscheck.relative_rms(mean[group], golden[f"mask_{group}"]) < 1e-12
        assert crosscheck.relative_rms(sigma[group], golden[f"mask_sigma_{group}"]) < 1e-12


def test_a_users_foscat_cache_is_not_touched(crosscheck, tmp_path, monkeypatch):
    from foscat_reference import Foscat

    monkeypatch.setenv("HOME", str(tmp_path))
    Foscat().measure(np.arange(48.0))
    assert list(tmp_path.iterdir()) == []
