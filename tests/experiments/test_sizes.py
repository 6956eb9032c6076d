"""Sizes are measured stage by stage, and one that does not fit says so."""

import json
import subprocess

import jax
import pytest

import jaxscat
from experiments.benchmarks import sizes


def test_a_size_has_times_and_memory_of_all_stages():
    row = sizes.measure_size(2, "rows", repeat=3)
    for stage in sizes.STAGES:
        assert row[f"{stage}_seconds"] > 0 and row[f"{stage}_peak_bytes"] > 10**7
    assert row["nanoseconds_per_pixel"] == pytest.approx(1e9 * row["value_and_grad_seconds"] / 48)
    assert row["calls"]["calls"] == 3
    tables = jax.tree.leaves(jaxscat.build_pyramid(2))
    assert row["table_bytes"] == sum(table.size * 4 for table in tables)


def test_a_size_that_does_not_fit_is_not_measured(monkeypatch, capsys):
    monkeypatch.setattr(sizes, "available_bytes", lambda: 1)
    with pytest.raises(ValueError, match=r"takes 0\.0 GB beside its operands, 0\.0 GB free"):
        sizes.measure_size(2, "rows", repeat=1)


@pytest.mark.parametrize(
    ("status", "reason"), [(-9, "ended by the system, memory was short"), (1, "status 1")]
)
def test_a_size_that_fails_says_why(monkeypatch, status, reason):
    def fail(*arguments):
        raise subprocess.CalledProcessError(status, arguments)

    monkeypatch.setattr(sizes, "measure_in_fresh_process", fail)
    row = sizes.measure_apart(1024, "rows", 5)
    assert row == {"nside": 1024, "layout": "rows", sizes.NOT_MEASURED: reason}
    cells = [cell for column in sizes.build_table([row]).columns for cell in column.cells]
    assert f"not measured: {reason}" in cells


def test_all_sizes_are_in_one_table(monkeypatch, tmp_path, capsys):
    def measured(module, command, case, nside, layout, repeat, count):
        stages = {
            f"{stage}_{name}": 1 for stage in sizes.STAGES for name in ("seconds", "peak_bytes")
        }
        return stages | {"nanoseconds_per_pixel": nside, "table_bytes": 1}

    monkeypatch.setattr(sizes, "measure_in_fresh_process", measured)
    arguments = ["--smallest", "4", "--largest", "16", "--layouts", "rows", "faces"]
    assert sizes.main([*arguments, "--output", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "sizes.json").read_text())["rows"]
    found = [(row["nside"], row["layout"]) for row in rows]
    assert found == [(nside, layout) for layout in ("rows", "faces") for nside in (4, 8, 16)]
    assert "16 ns" in capsys.readouterr().out
