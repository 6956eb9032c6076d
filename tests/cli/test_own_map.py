"""The first commands with a map of one's own: run it, write its config, ask what can be set."""

import shlex
import tomllib

import healpy
import numpy as np
import pytest
from typer.testing import CliRunner

from jaxscat.cli import run as run_command
from jaxscat.cli.main import app
from jaxscat.cli.order_question import commands_with_orders
from jaxscat.cli.short_options import SHORT, expand_short
from jaxscat.io.writing import save_maps
from jaxscat.run.config import load_config
from jaxscat.run.execute import Outcome
from jaxscat.run.overrides import ConfigError
from jaxscat.run.settings import list_settings


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of maps, with a space and an umlaut in its name; the working directory."""
    home = tmp_path / "meine Größe"
    home.mkdir()
    monkeypatch.chdir(home)
    np.random.seed(0)
    spectrum = np.where(np.arange(192) < 2, 0, np.maximum(np.arange(192.0), 1) ** -3)
    ring = healpy.synfast(spectrum, 64)
    np.save("ring.npy", ring)
    np.save("noise.npy", np.random.normal(size=768))
    np.save("mask.npy", (ring > 0).astype(float))
    nested = healpy.reorder(ring, r2n=True)
    holes = np.where(np.arange(nested.size) < 10, np.nan, nested)
    save_maps("Süd map.fits", {"I": nested, "holes": holes}, units={"I": "mK"}, frame="G")
    return home


@pytest.fixture
def asked(monkeypatch):
    """The configs that runs are asked for, none of which is made."""
    seen = []

    def run_nothing(config, folder, **_):
        seen.append(config)
        return Outcome(folder.folder, {}, "step limit", computed=False)

    monkeypatch.setattr(run_command, "run_experiment", run_nothing)
    return seen


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_map_in_place_of_a_config_gets_settings_for_a_first_look(folder, asked):
    result = invoke("run", "Süd map.fits", "--seeds", 3, "--max-steps", 7, "-o", "out")
    assert result.exit_code == 0, result.output
    (config,) = asked
    assert (config.data.path, config.data.nside) == ("Süd map.fits", 32)
    assert (config.synthesis.seeds, config.synthesis.max_steps) == ((0, 1, 2), 7)
    assert config.run.name == "S_d_map"
    assert result.stderr.splitlines() == [
        "note: Süd map.fits has nside 64; for a first look it is averaged to nside 32 "
        "(--nside 64 keeps it)"
    ]
    kept = invoke("run", "Süd map.fits", "--nside", 64, "--field", "holes", "--unseen", "mask")
    assert kept.exit_code == 0 and kept.stderr == "", kept.output
    assert (asked[1].data.nside, asked[1].data.field) == (64, "holes")
    again = invoke("run", "cosmic-web", "--nside", 8, "--synthesis.seeds", 3, "--name", "web")
    assert again.exit_code == 0 and again.stderr == "", again.output
    assert (asked[2].data.dataset, asked[2].data.order) == ("cosmic-web", None)
    assert (asked[2].synthesis.seeds, asked[2].run.name) == ((3,), "web")


def test_an_order_that_is_clear_is_taken_and_said(folder, asked):
    result = invoke("run", "ring.npy", "--nside", 8)
    assert result.exit_code == 0, result.output
    assert asked[0].data.order == "RING"
    said = r"note: ring.npy is read as RING, because as RING neighbouring pixels differ"
    assert result.stderr.startswith(said) and "--order settles it" in result.stderr
    told = invoke("run", "ring.npy", "--nside", 8, "--order", "ring")
    assert told.exit_code == 0 and told.stderr == "" and asked[1].data.order == "RING"
    masked = invoke("run", "Süd map.fits", "--nside", 8, "--mask", "mask.npy")
    assert masked.exit_code == 0 and asked[2].target.mask_order == "RING"
    assert asked[2].data.order is None and "--mask-order settles it" in masked.stderr


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["run", "noise.npy", "--seeds", "2"], "--order"),
        (["run", "Süd map.fits", "--mask", "noise.npy"], "--mask-order"),
        (["run", "Süd map.fits", "--second", "noise.npy"], "--second-order"),
        (["measure", "noise.npy", "-o", "s.npz"], "--order"),
        (["measure", "Süd map.fits", "--mask", "noise.npy", "-o", "s.npz"], "--mask-order"),
        (["init", "noise.npy"], "--order"),
    ],
)
def test_an_order_that_is_not_clear_is_asked_for_with_both_commands(folder, asked, words, option):
    before = sorted(folder.iterdir())
    result = invoke(*words)
    assert result.exit_code == 2
    first, *commands = result.stderr.splitlines()
    assert first.startswith("error: noise.npy: a .npy file does not state the order of its pixels")
    assert [shlex.split(command)[-2:] for command in commands] == [
        [option, "RING"],
        [option, "NESTED"],
    ]
    assert [shlex.split(command)[1:-2] for command in commands] == [words, words]
    assert sorted(folder.iterdir()) == before and not asked


def test_the_commands_that_are_proposed_can_be_pasted():
    (first, _) = commands_with_orders(["run", "my map.npy", "--seeds", "2"], "gaps.order")
    assert first == "jaxscat run 'my map.npy' --seeds 2 --gaps.order RING"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["notes.txt"],
            "error: got 'notes.txt', expected a config, as in jaxscat run CONFIG.toml,",
        ),
        (["none.toml"], "error: config file 'none.toml' does not exist"),
        (["none.fits"], "error: map 'none.fits': there is no such file"),
        (["--nside", "8", "ring.npy"], "error: got '--nside' first, expected a config or a map"),
        (["ring.npy", "--sed", "3"], "--sed is not a setting; did you mean --seeds?"),
        (["ring.npy", "--nside", "8", "--data.nside", "4"], "got data.nside twice"),
        (["ring.npy", "--seeds", "0"], "--seeds 0: expected a number of new maps"),
        (["ring.npy", "--nside", "12"], "data.nside = 12: expected a power of two"),
        (["ring.npy", "--nside", "128"], "nside: got 128, expected at most 64"),
        (["Süd map.fits", "--field", "holes"], "got 10 of 49152 pixels UNSEEN (without data)"),
    ],
)
def test_what_cannot_be_run_is_one_line(folder, words, message):
    result = invoke("run", *words)
    assert result.exit_code == 2
    *_, line = result.stderr.splitlines()
    assert line.startswith("error: ") and message in line
    assert not (folder / "runs").exists()


def test_short_options_are_settings_and_stand_in_the_help():
    names = {setting.name for setting in list_settings()}
    assert set(SHORT.values()) <= names
    shown = " ".join(invoke("run", "--help").output.split())
    assert all(f"--{name}" in shown for name in SHORT)
    assert expand_short({"seeds": ["7", "8"]}) == {"synthesis.seeds": ["7", "8"]}
    assert expand_short({"seeds": ["2"]}, "inpaint") == {"reconstruction.seeds": ["0", "1"]}
    told = {"task.kind": ["denoise"], "seeds": ["5", "7"]}
    assert expand_short(told)["reconstruction.seeds"] == ["5", "7"]
    with pytest.raises(ConfigError, match=r"max-steps: got it .* expected --reconstruction\.steps"):
        expand_short({"max-steps": ["5"]}, "separate")
    with pytest.raises(ConfigError, match="--kernel is not a setting; did you mean --kernel-size"):
        expand_short({"kernel": ["5"]})


def test_init_writes_every_setting_and_fills_in_what_a_file_says(folder, asked):
    assert invoke("init").exit_code == 0
    text = (folder / "my.toml").read_text()
    for setting in list_settings():
        assert f"\n{setting.key} = " in text or f"\n# {setting.key} =" in text
        assert setting.meaning[:40] in " ".join(text.replace("\n# ", " ").split())
    tree = tomllib.loads(text)
    for setting in list_settings():
        if setting.default is not None and setting.name != "run.name" and setting.section in tree:
            value = tree[setting.section][setting.key]
            assert (tuple(value) if isinstance(value, list) else value) == setting.default
    taken = invoke("init")
    assert taken.exit_code == 2 and "'my.toml' exists, expected a new file" in taken.stderr
    assert (folder / "my.toml").read_text() == text

    made = invoke("init", "Süd map.fits", "--field", "holes", "-o", "süd.toml")
    assert made.exit_code == 0, made.output
    assert made.stdout == "wrote süd.toml; jaxscat run süd.toml runs it\n"
    data = load_config("süd.toml").data
    assert (data.path, data.nside) == (str(folder / "Süd map.fits"), 32)
    assert (data.order, data.field, data.hdu, data.unseen) == ("NESTED", "holes", 1, "mask")
    assert "10 of 49152 pixels UNSEEN (without data): data.unseen is 'mask'" in made.stderr
    assert invoke("init", "Süd map.fits", "-o", "i.toml").exit_code == 0
    assert load_config("i.toml").data.unit == "mK"
    assert invoke("run", "i.toml").exit_code == 0 and asked[0].run.name == "S_d_map"
    assert "is a config, expected a map" in invoke("init", "i.toml", "-o", "j.toml").stderr
    assert "ends in .toml" in invoke("init", "-o", "my.txt").stderr


def test_settings_explains_all_a_section_or_one():
    for whole in (invoke("settings").stdout, invoke("settings", "all").stdout):
        assert all(setting.key in whole for setting in list_settings())
    listed = invoke("settings").stdout
    assert len(listed) < 5000 and "jaxscat settings SECTION, SECTION.KEY or all" in listed
    section = invoke("settings", "gaps").stdout
    assert "[gaps]" in section and "degrees" in section and "[target]" not in section
    assert invoke("settings", "target.mask_order").stdout.splitlines() == [
        "target.mask_order",
        "  Order of the pixels in a mask file that does not state it. Unset, `data.order`.",
        "  kind:    one of RING, NESTED",
        "  default: unset",
        "  option:  --target.mask_order or --mask-order",
    ]
    assert invoke("settings", "mask-order").stdout == invoke("settings", "target.mask_order").stdout
    wrong = invoke("settings", "synthesys.seeds")
    assert wrong.exit_code == 2 and "did you mean 'synthesis.seeds'?" in wrong.stderr


@pytest.fixture
def noisy(tmp_path, monkeypatch):
    """Files of a map with noise, its truth and the map with a hole, at nside 4."""
    monkeypatch.chdir(tmp_path)
    truth = np.random.default_rng(0).gamma(2.0, size=192)
    noise = 0.5 * np.random.default_rng(1).normal(size=192)
    hole = np.arange(192) < 20
    maps = {"truth": truth, "noisy": truth + noise, "low": truth + noise, "high": 2 * truth - noise}
    maps |= {"holes": np.where(hole, healpy.UNSEEN, truth + noise)}
    for name, map in maps.items():
        save_maps(f"{name}.fits", {"I": map}, units="mK")
    return tmp_path


HOLES = ("holes.fits", "--unseen", "mask")
CHANNELS = ("--channels.paths", "low.fits", "high.fits", "--channels.mixing", 1, 2)
WHITE = ("--noise.kind", "white", "--noise.standard_deviation", 0.5)
FEW = ("--reconstruction.steps", 2, "--reconstruction.renewals", 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["noisy.fits", "--task.kind", "denoise", *WHITE], "no truth to compare with"),
        (
            [*HOLES, "--task.kind", "denoise", *WHITE, "--truth.path", "truth.fits"],
            "nearer to the truth",
        ),
        ([*HOLES, "--task.kind", "inpaint"], "Renewals done"),
        (["low.fits", "--task.kind", "separate", *CHANNELS, *WHITE], "no truth to compare with"),
    ],
)
def test_a_map_of_ones_own_is_reconstructed_in_one_command(noisy, no_figures, words, said):
    with no_figures():
        result = invoke("run", *words, *FEW, "-o", "out")
    assert result.exit_code == 0, result.output
    assert said in result.stdout and "was added" not in result.output
    assert "warning" not in result.stderr
    stored = load_config(noisy / "out" / "config.toml")
    assert stored.data.nside == 4 and stored.reconstruction.renewals == 1
    assert stored.reconstruction.start in ("square-root wiener", "gaussian realization")
    assert (stored.reconstruction.realizations or 64) == 64


def test_an_example_that_adds_noise_to_ones_own_map_says_so(noisy, no_figures):
    config = noisy / "denoise.toml"
    config.write_text(
        '[task]\nkind = "denoise"\n[data]\ndataset = "cosmic-web"\nnside = 4\n'
        '[noise]\nkind = "white"\nstandard_deviation = 0.5\nadd_to_data = true\n'
    )
    with no_figures():
        result = invoke("run", config, "--data.path", "noisy.fits", *FEW, "-o", "out")
    assert result.exit_code == 0, result.output
    assert "warning: --data.path noisy.fits: noise.add_to_data = true stands in" in result.stderr
    assert "--noise.add_to_data false" in result.stderr
    truth = "The map of [data], noisy.fits, counts as the truth: white noise of standard deviation"
    assert f"note: {truth}" in result.stderr and truth in result.stdout
    assert truth in (noisy / "out" / "report.html").read_text(encoding="utf-8")


def test_the_map_of_a_separation_is_the_first_of_its_channels(noisy):
    result = invoke("run", "noisy.fits", "--task.kind", "separate", *CHANNELS, *WHITE)
    assert result.exit_code == 2 and "expected the first of the channels" in result.stderr


def test_other_files_are_read_in_the_order_that_was_found(folder, asked):
    np.save("truth.npy", np.load("ring.npy"))
    words = ["--task.kind", "denoise", *WHITE, "--truth.path", "truth.npy", "--nside", 8]
    result = invoke("run", "ring.npy", *words)
    assert result.exit_code == 0, result.output
    assert asked[0].data.order == "RING"
    assert "note: truth.npy: read as RING as the map" in result.stderr
    told = invoke("run", "ring.npy", *words, "--order", "ring")
    assert told.exit_code == 0 and told.stderr == ""
