"""The sections of tasks other than a synthesis, and what is said of those that cannot be used."""

import tomllib

import pytest

from jaxscat.run.config import config_from_tree, load_config
from jaxscat.run.overrides import ConfigError, parse_overrides

DATA = {"path": "map.npy"}
WHITE = {"kind": "white", "standard_deviation": 1.0}
ADDED = WHITE | {"add_to_data": True}
HALVES = {"kind": "halves", "first": "one.fits", "second": "two.fits"}
TASKS = {
    "denoise": {"data": DATA, "noise": WHITE},
    "inpaint": {"data": DATA, "gaps": {"path": "gaps.npy"}},
    "separate": {
        "channels": {"paths": ["a.npy", "b.npy"], "mixing": [1, 2.5]},
        "noise": WHITE,
        "contaminant": {"kind": "spectrum", "slope": -2, "standard_deviation": 1},
    },
}


def settings(kind, **sections):
    tree = {"task": {"kind": kind}} | {name: dict(of) for name, of in TASKS[kind].items()}
    for name, entries in sections.items():
        tree[name] = tree.get(name, {}) | entries
    return config_from_tree({name: of for name, of in tree.items() if of})


def without(entries, *names):
    return {name: value for name, value in entries.items() if name not in names}


@pytest.mark.parametrize("kind", TASKS)
def test_a_resolved_config_reads_back_the_same_and_has_no_foreign_sections(kind):
    config = settings(kind)
    text = config.to_toml()
    assert config_from_tree(tomllib.loads(text)) == config
    sections = set(tomllib.loads(text))
    assert "synthesis" not in sections and "reconstruction" in sections
    assert ("gaps" in sections) == (kind == "inpaint")
    assert ("contaminant" in sections) == (kind == "separate")


def test_a_synthesis_has_no_sections_of_other_tasks():
    config = config_from_tree({"data": DATA})
    assert config.task.kind == "synthesis"
    others = {"noise", "contaminant", "gaps", "channels", "truth", "reconstruction"}
    assert not others & set(tomllib.loads(config.to_toml()))


def test_halves_and_channels_stand_for_the_data():
    config = config_from_tree({"task": {"kind": "denoise"}, "noise": HALVES})
    assert (config.data.path, config.noise.first) == (None, "one.fits")
    assert settings("separate").data.path is None
    assert settings("separate").channels.mixing == (1, 2.5)


def test_one_entry_of_a_list_needs_no_brackets(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text(
        '[data]\npath = "map.npy"\n[task]\nkind = "denoise"\n'
        '[noise]\nkind = "maps"\npaths = "all.fits"\nfields = "N1"\n'
    )
    config = load_config(path)
    assert (config.noise.paths, config.noise.fields) == (("all.fits",), ("N1",))
    words = parse_overrides("--noise.paths other.fits --noise.fields 2".split())
    config = load_config(path, words)
    assert (config.noise.paths, config.noise.fields) == (("other.fits",), (2,))


def test_seeds_are_counted_and_entries_are_overridden(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text(settings("denoise", reconstruction={"seeds": 3}).to_toml())
    assert load_config(path).reconstruction.seeds == (0, 1, 2)
    words = parse_overrides(
        [
            *"--reconstruction.seeds 4 5 --reconstruction.terms scattering power".split(),
            *("--reconstruction.levels", "{power = 0}", "--noise.standard_deviation", "0.5"),
            *("--truth.dataset", "cosmic-web"),
        ]
    )
    config = load_config(path, words)
    assert config.reconstruction.seeds == (4, 5)
    assert config.reconstruction.terms == ("scattering", "power")
    assert config.reconstruction.levels == {"power": 0}
    assert config.noise.standard_deviation == 0.5
    one = {"reconstruction.seeds": ["4"], "reconstruction.terms": ["scattering"]}
    assert load_config(path, one).reconstruction.seeds == (4,)
    assert load_config(path, {"reconstruction.seeds": ["[4, 5]"]}).reconstruction.seeds == (4, 5)
    unset = load_config(path, {"reconstruction.seeds": ["none"]})
    assert unset.reconstruction.seeds is None
    swapped = load_config(path, {"truth.dataset": ["lss"], "truth.path": ["truth.npy"]})
    assert (swapped.truth.dataset, swapped.truth.path) == (None, "truth.npy")


@pytest.mark.parametrize(
    ("kind", "sections", "message"),
    [
        ("denoise", {"noise": {"standard": 1.0}}, "did you mean 'standard_deviation'"),
        ("denoise", {"task": {"kind": "denoize"}}, "task.kind = 'denoize': expected 'synthesis'"),
        ("denoise", {"gaps": {"band": 5.0}}, "[gaps] only with task.kind = 'inpaint'"),
        ("denoise", {"synthesis": {"seeds": [1]}}, "[synthesis] only with task.kind = 'synthesis'"),
        ("denoise", {"target": {"second": "lss"}}, "target.second only with task.kind = 'synth"),
        (
            "inpaint",
            {"noise": WHITE},
            "[noise] only with task.kind = 'denoise', 'separate' or 'denoise-polarization'",
        ),
        (
            "inpaint",
            {"target": {"mask": "m.npy"}},
            "[target] only with task.kind = 'synthesis', 'polarization' or 'denoise'",
        ),
        ("denoise", {"contaminant": WHITE}, "[contaminant] only with task.kind = 'separate'"),
        ("denoise", {"noise": {"slope": -2.0}}, "noise.slope only with noise.kind = 'spectrum'"),
        ("denoise", {"noise": {"standard_deviation": 0.0}}, "greater than 0"),
        ("denoise", {"noise": {"deviation_map": "d.npy"}}, "noise.standard_deviation or noise.dev"),
        ("denoise", {"data": {"dataset": "lss"}}, "exactly one of data.dataset and data.path"),
        ("denoise", {"truth": {"path": "a", "dataset": "lss"}}, "one of truth.dataset and truth."),
        (
            "denoise",
            {"noise": WHITE, "data": DATA | {"transform": "exp"}},
            "data.transform = 'none' for data that have noise already, not 'exp'",
        ),
        (
            "denoise",
            {"truth": {"path": "t.npy"}, "data": {"transform": "exp"}},
            "[truth] only with data.transform = 'none'",
        ),
        (
            "denoise",
            {"noise": ADDED, "truth": {"path": "t.npy"}},
            "no [truth] with add_to_data = true: the map of [data] is the truth",
        ),
        (
            "denoise",
            {"noise": ADDED | {"add_seed": 3}, "reconstruction": {"seeds": [2, 3]}},
            "noise.add_seed other than the seeds of the reconstruction (3)",
        ),
        (
            "denoise",
            {"reconstruction": {"start": "diffusive"}},
            "reconstruction.start = 'square-root wiener', 'constrained', 'wiener' or 'data' with",
        ),
        (
            "denoise",
            {"reconstruction": {"terms": ["power", "power"]}},
            "reconstruction.terms that differ",
        ),
        ("denoise", {"reconstruction": {"terms": ["cross"]}}, "reconstruction.template together"),
        (
            "denoise",
            {"reconstruction": {"levels": {"power": 1.0}}},
            "reconstruction.levels.power only with the term 'power'",
        ),
        (
            "denoise",
            {"reconstruction": {"weights": {"powr": 1.0}}},
            "reconstruction.weights = {'powr': 1.0}: expected a table of numbers by the names of",
        ),
        ("denoise", {"reconstruction": {"terms": ["powr"]}}, "reconstruction.terms.0 = 'powr'"),
        ("denoise", {"reconstruction": {"seeds": [1, 1]}}, "seeds that differ from one another"),
        ("denoise", {"reconstruction": {"seeds": 65}}, "at most 64 solutions"),
        ("denoise", {"reconstruction": {"reach": 5.0}}, "reach only with task.kind = 'inpaint'"),
        ("denoise", {"reconstruction": {"realizations": 7}}, "greater than or equal to 8"),
        ("inpaint", {"gaps": {"discs": 0.2}}, "gaps.discs and gaps.band only in a map without"),
        ("inpaint", {"gaps": {"discs": 1.0}}, "gaps.discs = 1.0: expected less than 1"),
        (
            "inpaint",
            {"reconstruction": {"terms": ["power"]}},
            "reconstruction.terms among 'scattering', 'cross' with task.kind = 'inpaint'",
        ),
        (
            "inpaint",
            {"reconstruction": {"realizations": 9}},
            "reconstruction.realizations only with noise, not for gaps",
        ),
        ("separate", {"data": DATA}, "exactly one of data.dataset, data.path and channels.paths"),
        ("separate", {"channels": {"mixing": [1]}}, "channels.mixing with the strength"),
        ("separate", {"channels": {"mixing": [1, 2, 3]}}, "channels.mixing of 2 numbers, one for"),
        ("separate", {"data": {"unseen": "mask"}}, "data.unseen = 'refuse' with task.kind = 'sep"),
        ("separate", {"noise": {"add_to_data": True}}, "noise.add_to_data only with data.path or"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(kind, sections, message):
    with pytest.raises(ConfigError) as caught:
        settings(kind, **sections)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"noise": {}}, "noise.kind = 'white', 'spectrum', 'halves' or 'maps', which says what"),
        (
            {"noise": {"kind": "white"}},
            "noise.standard_deviation or noise.deviation_map with",
        ),
        ({"noise": without(HALVES, "second")}, "noise.second beside noise.first with noise.kind"),
        ({"noise": without(HALVES, "first"), "data": DATA}, "noise.first beside noise.second"),
        ({"noise": {"kind": "maps"}}, "noise.paths with noise.kind = 'maps'"),
        (
            {"noise": {"kind": "spectrum", "slope": -2.0}},
            "noise.spectrum, or noise.slope and noise.standard_deviation, with noise.kind",
        ),
        (
            {"noise": {"kind": "maps", "paths": ["a", "b"], "fields": [0, 1]}},
            "noise.fields with one path in noise.paths",
        ),
        (
            {"noise": HALVES, "data": DATA | {"transform": "exp"}},
            "noise.kind = 'white' or 'spectrum' with data.transform = 'exp'",
        ),
        (
            {"noise": HALVES | {"add_to_data": True}, "data": {}},
            "noise.add_to_data only with data.path or data.dataset",
        ),
    ],
)
def test_a_noise_that_lacks_an_entry_is_refused(tree, message):
    with pytest.raises(ConfigError) as caught:
        config_from_tree({"task": {"kind": "denoise"}, "data": DATA} | tree)
    assert message in str(caught.value)


def test_gaps_and_channels_must_come_from_somewhere():
    with pytest.raises(ConfigError, match=r"gaps.path, gaps.discs, gaps.band or data.unseen"):
        config_from_tree({"task": {"kind": "inpaint"}, "data": DATA})
    demo = {"task": {"kind": "separate"}, "data": DATA, "channels": {"mixing": [1, 2]}}
    with pytest.raises(ConfigError, match=r"\[contaminant\] or \[noise\], or both"):
        config_from_tree(demo)
    with pytest.raises(ConfigError, match=r"noise.add_to_data = true without channels.paths"):
        config_from_tree(demo | {"noise": WHITE})
    with pytest.raises(ConfigError, match="data is missing"):
        config_from_tree({"task": {"kind": "denoise"}, "noise": WHITE})
