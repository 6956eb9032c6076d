"""Units of temperature in all their spellings."""

import pytest

from jaxscat import load_sky
from jaxscat.io.units import conversion_factor, read_temperature, same_unit
from tests.io.conftest import maps_header, table

CMB = {
    1.0: ["Kcmb", "K_CMB", "K CMB", "K (CMB)", "K_{CMB}", "KCMB", "K,thermodynamic", "K_thermo"],
    1e-3: ["mKcmb", "mK_CMB", "mK,thermodynamic", "milliK_CMB", "mK_Thermo"],
    1e-6: ["uKcmb", "uK_CMB", "µK_CMB", "μK_CMB", "muK_CMB", "microK_CMB", "micro-K (CMB)"],
}
PLAIN = {1.0: ["K", "Kelvin", "kelvin"], 1e-3: ["mK"], 1e-6: ["uK", "µK", "microK"]}


@pytest.mark.parametrize("kind", [CMB, PLAIN], ids=["cmb", "plain"])
def test_spellings(kind):
    for kelvin, spellings in kind.items():
        for unit in spellings:
            found = read_temperature(unit)
            assert found is not None, unit
            assert (found.kelvin, found.cmb) == (kelvin, kind is CMB), unit


@pytest.mark.parametrize(
    "unit",
    ["uK_RJ", "K_RJ", "MJy/sr", "Jy/beam", "K^2", "K_CMB^2", "(K_CMB)^2", "MK", "", "counts"],
)
def test_what_is_no_such_temperature(unit):
    assert read_temperature(unit) is None


def test_factors():
    assert conversion_factor("mK,thermodynamic", "uK_CMB", name="x") == pytest.approx(
        1e3, rel=1e-14
    )
    assert conversion_factor("uK", "K", name="x") == pytest.approx(1e-6, rel=1e-14)
    assert conversion_factor("uK_RJ", "uK_RJ", name="x") == 1.0
    for stated, wanted in [("K", "K_CMB"), ("K_CMB", "K"), ("uK_RJ", "K_RJ"), ("K_CMB", "MJy/sr")]:
        with pytest.raises(ValueError, match=f"^unit: got '{wanted}', but x is in '{stated}'"):
            conversion_factor(stated, wanted, name="x")
    with pytest.raises(ValueError, match="^unit: got 'K', but x does not state its unit"):
        conversion_factor(None, "K", name="x")


@pytest.mark.parametrize(
    ("option", "value"), [("unit", 3), ("bad_data", "x"), ("bad_data", True), ("fields", 1.5)]
)
def test_options_of_another_type_are_refused(write_tables, nested, option, value):
    path = write_tables(table([("T", "D", nested)], **maps_header()))
    with pytest.raises(ValueError, match=f"^{option}: got {value!r}, expected"):
        load_sky(path, **{option: value})


def test_same_units():
    assert same_unit("Kcmb", "K_CMB") and same_unit(None, "K") and same_unit("a", "a")
    assert not same_unit("mK_CMB", "K_CMB") and not same_unit("K", "K_CMB")
    assert not same_unit("MJy/sr", "Jy/sr")


def test_stokes_parameters_of_different_units_are_refused_or_converted(write_tables, nested):
    units = ("K_CMB", "mK_CMB", "K_CMB")
    columns = [(n, "D", nested, u) for n, u in zip("IQU", units, strict=True)]
    path = write_tables(table(columns, **maps_header(POLCCONV="COSMO")))
    with pytest.raises(ValueError, match="got I in 'K_CMB' and Q in 'mK_CMB', expected one unit"):
        load_sky(path)
    sky = load_sky(path, unit="uK_CMB")
    assert sky.maps["I"][0] == pytest.approx(1e6 * nested[0])
    assert sky.maps["Q"][0] == pytest.approx(1e3 * nested[0])
