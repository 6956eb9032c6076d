"""Two runs are the same only if every bit of their maps, every loss and every count is."""

import json
import math

import numpy as np
import pytest
from astropy.io import fits

from experiments.studies import same_maps
from experiments.studies.options import split_overrides
from experiments.studies.run_folders import drop_times
from experiments.studies.same_maps import compare_runs, map_difference, relative_difference


def write_run(folder, *, map=None, loss=1.5, evaluations=4, status="step limit", more=None):
    """Write what is compared of a run's folder: two maps, one seed, three steps."""
    folder.mkdir()
    map = np.arange(12, dtype=np.float32) if map is None else map
    columns = {"ORIGINAL": np.ones(12, np.float32), "SEED_0": map, **(more or {})}
    units = [
        fits.Column(name, f"{'D' if c.itemsize == 8 else 'E'}", array=c)
        for name, c in columns.items()
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(units)]).writeto(
        folder / "maps.fits"
    )
    rows = ["seed,step,loss,evaluations", "0,0,9.0,1", "0,1,3.0,2", f"0,2,{loss},{evaluations}"]
    (folder / "history.csv").write_text("\n".join(rows) + "\n")
    counts = {"status": status, "nsteps": 2, "evaluations": evaluations}
    seed = {"seed": 0, "start_loss": 9.0, "final_loss": loss, "run_seconds": 0.1, **counts}
    (folder / "results.json").write_text(json.dumps(seed | {"seeds": [seed]}))
    return folder


@pytest.fixture
def before(tmp_path):
    return write_run(tmp_path / "before")


def changed(pixel, by):
    map = np.arange(12, dtype=np.float32)
    map[pixel] += by
    return map


def test_the_same_run_is_the_same(before, tmp_path):
    found = compare_runs(before, write_run(tmp_path / "after"))
    assert found == same_maps.RunDifference(True, 0.0, 0.0, ())
    assert not found.exceeds(0.0)


def test_one_bit_of_a_map_is_noticed(before, tmp_path):
    map = np.arange(12, dtype=np.float32)
    map[5] = np.nextafter(map[5], np.float32(6))
    found = compare_runs(before, write_run(tmp_path / "after", map=map))
    spread = np.arange(12).std()
    assert not found.bits_equal and found.loss == 0.0
    assert found.map == pytest.approx((float(map[5]) - 5) / spread, rel=1e-6)
    assert found.exceeds(0.0) and not found.exceeds(1e-6)


def test_the_sign_of_zero_is_a_bit_too(before, tmp_path):
    map = np.arange(12, dtype=np.float32)
    map[0] = -0.0
    found = compare_runs(before, write_run(tmp_path / "after", map=map))
    assert (found.bits_equal, found.map) == (False, 0.0)
    assert found.exceeds(0.0) and not found.exceeds(1e-12)


@pytest.mark.parametrize(
    "change",
    [
        {"map": np.arange(12, dtype=np.float64)},
        {"map": changed(3, np.nan)},
        {"more": {"SEED_1": np.ones(12, np.float32)}},
    ],
    ids=["type", "nan", "column"],
)
def test_maps_that_cannot_be_compared_are_infinitely_far_away(before, tmp_path, change):
    after = write_run(tmp_path / "after", **change)
    for found in (compare_runs(before, after), compare_runs(after, before)):
        assert not found.bits_equal and found.map == math.inf and found.exceeds(1e9)


def test_losses_differ_relative_to_those_before(before, tmp_path):
    found = compare_runs(before, write_run(tmp_path / "after", loss=1.5 * (1 + 1e-6)))
    assert found.bits_equal and found.loss == pytest.approx(1e-6, rel=1e-6)
    assert found.exceeds(0.0) and not found.exceeds(2e-6)


@pytest.mark.parametrize("change", [{"evaluations": 5}, {"status": "converged"}])
def test_no_tolerance_covers_counts(before, tmp_path, change):
    found = compare_runs(before, write_run(tmp_path / "after", **change))
    assert found.bits_equal and found.loss == 0.0
    assert found.exceeds(1e9)
    (name,) = change
    assert f"{name} of results.json" in found.counts
    assert f"seed 0: {name} of results.json" in found.counts
    assert ("evaluations of history.csv" in found.counts) == (name == "evaluations")


def test_a_shorter_history_is_infinitely_far_away(before, tmp_path):
    after = write_run(tmp_path / "after")
    lines = (after / "history.csv").read_text().splitlines()
    (after / "history.csv").write_text("\n".join(lines[:-1]) + "\n")
    found = compare_runs(before, after)
    assert found.loss == math.inf
    assert found.counts == tuple(f"{n} of history.csv" for n in ("seed", "step", "evaluations"))


def test_further_columns_of_the_history_are_ignored(before, tmp_path):
    after = write_run(tmp_path / "after")
    lines = (after / "history.csv").read_text().splitlines()
    more = [f"{line},{end}" for line, end in zip(lines, ["scattering", 9, 3, ""], strict=True)]
    (after / "history.csv").write_text("\n".join(more) + "\n")
    assert not compare_runs(before, after).exceeds(0.0)


def test_nan_equals_nan_only():
    nan = np.array([1.0, np.nan])
    assert map_difference(nan, nan.copy()) == (True, 0.0)
    assert map_difference(nan, np.array([2.0, np.nan])) == (False, math.inf)  # no spread
    assert relative_difference(nan, nan) == 0.0
    assert relative_difference(nan, np.array([1.0, 2.0])) == math.inf
    assert relative_difference(np.array([0.0]), np.array([1e-9])) == math.inf


def test_a_folder_without_maps_is_refused(before, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"got no maps\.fits"):
        compare_runs(before, tmp_path / "empty")


def test_times_are_dropped_at_every_depth():
    tree = {"a": 1, "run_seconds": 2, "rows": [{"seconds": 3, "b": [4]}]}
    assert drop_times(tree) == {"a": 1, "rows": [{"b": [4]}]}


def test_overrides_are_told_from_options_of_the_script():
    arguments = ["x", "y", "--synthesis.seeds", "1", "-2", "--configs", "a", "b", "--run.name", "c"]
    own, overrides = split_overrides(arguments)
    assert own == ["x", "y", "--configs", "a", "b"]
    assert overrides == ["--synthesis.seeds", "1", "-2", "--run.name", "c"]


FAKE = """
import json, sys
from pathlib import Path
def main():
    arguments = sys.argv[1:]
    folder = Path(arguments[arguments.index("--output") + 1])
    (folder.parent / f"{folder.name}.json").write_text(json.dumps([arguments, __name__]))
"""


@pytest.mark.parametrize("module", ["jaxscat/cli.py", "jaxscat/cli/main.py"])
def test_a_config_runs_with_the_command_line_of_old_and_new_checkouts(tmp_path, module):
    checkout = tmp_path / "checkout"
    (checkout / module).parent.mkdir(parents=True)
    for folder in ("jaxscat", *(["jaxscat/cli"] if module.endswith("main.py") else [])):
        (checkout / folder / "__init__.py").touch()
    (checkout / module).write_text(FAKE)
    config = same_maps.find_config("quickstart")
    same_maps.run_config(checkout, config, tmp_path / "run", ["--synthesis.max_steps", "5"])
    arguments, name = json.loads((tmp_path / "run.json").read_text())
    assert name == module.removesuffix(".py").replace("/", ".")
    run = ["run", str(config), "--output", str(tmp_path / "run")]
    assert arguments == [*run, "--synthesis.max_steps", "5"]


def test_the_exit_status_says_whether_a_config_differs(before, tmp_path, monkeypatch, capsys):
    def write(checkout, config, folder, overrides):
        late = checkout.name == "after" and config.stem == "ci"
        write_run(folder, loss=1.5 if not late else 1.6)
        assert overrides == ["--run.name", "x"]

    monkeypatch.setattr(same_maps, "run_config", write)
    arguments = ["before", "after", "--configs", "quickstart", "--run.name", "x"]
    assert same_maps.main(arguments) == 0
    assert "DIFFERS" not in capsys.readouterr().out
    arguments.insert(3, "ci")
    assert same_maps.main(arguments) == 1
    printed = capsys.readouterr().out
    assert printed.count("DIFFERS") == 1 and "6.7e-02" in printed
    assert same_maps.main([*arguments, "--tolerance", "0.1"]) == 0
    with pytest.raises(ValueError, match=r"got 'unknown'"):
        same_maps.main(["before", "after", "--configs", "unknown", "--run.name", "x"])
