"""The rows of a validation report, named and in the order of a table."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One quantity of a report.

    Attributes:
        group: the key of the report that it is from; the two parts of `power_spectrum_bins` are
            `power_spectrum_bins.ratio` and `power_spectrum_bins.correlation`.
        name: what it is called in tables, different for every row.
        values: its number for every map that has one ("original", "start", "gaussian",
            "synthesized"), None where it does not exist.
    """

    group: str
    name: str
    values: Mapping[str, float | None]


def rows_of(report: Mapping[str, Any]) -> Iterator[Row]:
    """Go through a report of `validate`, row by row."""
    for name, values in report["distribution"].items():
        yield Row("distribution", name, values)
    yield Row("pixel_correlation", "pixel correlation", report["pixel_correlation"])
    yield Row("power_spectrum_ratio", "C_l ratio, mean over l >= 2", report["power_spectrum_ratio"])
    for part, name in (("ratio", "C_l ratio"), ("correlation", "correlation")):
        for bin in report["power_spectrum_bins"]:
            yield Row(f"power_spectrum_bins.{part}", f"{name}, {_multipoles(bin)}", bin[part])
    for name, values in report["scattering"].items():
        yield Row("scattering", f"{name} relative error", values)
    single = "scattering coefficient error (S1, squared)"
    yield Row("scattering_error", single, report["scattering_error"])
    gain = "scattering_improvement_pct"
    if gain in report:
        yield Row(gain, "its improvement on the start [%]", {"synthesized": report[gain]})


def _multipoles(bin: Mapping[str, Any]) -> str:
    low, high = bin["l_min"], bin["l_max"]
    return f"l = {low}" if low == high else f"l = {low} to {high}"
