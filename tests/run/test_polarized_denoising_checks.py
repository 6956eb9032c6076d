"""The settings of denoised polarization, and what is said of those that cannot be used."""

import tomllib

import pytest

from jaxscat.run.config import config_from_tree
from jaxscat.run.overrides import ConfigError

WHITE = {"kind": "white", "standard_deviation": 1.0}


def settings(**sections):
    tree = {
        "task": {"kind": "denoise-polarization"},
        "data": {"path": "map.fits"},
        "noise": WHITE,
    }
    for name, entries in sections.items():
        tree[name] = entries if name == "noise" else tree.get(name, {}) | entries
    return config_from_tree(tree)


def test_a_resolved_config_reads_back_the_same_and_has_no_foreign_sections():
    config = settings(polarization={"pairs": ["EE", "BB", "TE"]}, truth={"path": "truth.fits"})
    text = config.to_toml()
    assert config_from_tree(tomllib.loads(text)) == config
    sections = set(tomllib.loads(text))
    assert {"polarization", "noise", "truth", "reconstruction"} <= sections
    assert not {"synthesis", "target", "gaps", "channels", "contaminant"} & sections


@pytest.mark.parametrize("fields", [["E", "B"], ["B", "T", "E"]])
def test_fields_with_a_template_or_without(fields):
    assert list(settings(polarization={"fields": fields}).polarization.fields) == fields


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"polarization": {"fields": ["T", "Q", "U"]}}, "polarization.fields of E and B, with T"),
        ({"polarization": {"fields": ["T"]}}, "polarization.fields of E and B, with T"),
        ({"polarization": {"fields": ["E", "B", "B"]}}, "polarization.fields of E and B, with T"),
        ({"polarization": {"fields": ["I", "E", "B"]}}, "the intensity I is called T"),
        ({"polarization": {"parity": "even"}}, "polarization.parity = 'all' with"),
        (
            {"polarization": {"pairs": ["EE", "BB", "TT"]}},
            "polarization.pairs that fit .got TT of t",
        ),
        (
            {"polarization": {"pairs": ["EE", "TE"]}},
            "polarization.pairs that fit .got none with the field B",
        ),
        ({"polarization": {"pairs": ["EE", "BB", "QQ"]}}, "polarization.pairs that fit .got 'QQ'"),
        ({"data": {"field": 1}}, "data.field unset with"),
        ({"data": {"transform": "exp"}}, "data.transform = 'none' with"),
        ({"data": {"unseen": "mask"}}, "data.unseen = 'refuse' with .* cut sky mix"),
        ({"noise": {}}, "noise.kind = 'white', 'halves' or 'maps' with"),
        (
            {"noise": {"kind": "spectrum", "spectrum": "cl.txt"}},
            "noise.kind = 'white', 'halves' or",
        ),
        ({"noise": {"kind": "white"}}, "noise.standard_deviation or noise.deviation_map"),
        ({"noise": {"kind": "halves", "first": "a.fits"}}, "noise.second beside noise.first"),
        (
            {"noise": {"kind": "halves", "first": "a.fits", "second": "b.fits", "field": "Q"}},
            "noise.field only with noise.kind = 'white'",
        ),
        ({"noise": {"kind": "maps", "paths": ["a.fits"], "fields": [0, 1]}}, "noise.fields unset"),
        ({"noise": WHITE | {"paths": ["a.fits"]}}, "noise.paths only with noise.kind = 'maps'"),
        (
            {
                "noise": WHITE | {"add_to_data": True, "add_seed": 3},
                "reconstruction": {"seeds": [3]},
            },
            "noise.add_seed other than the seeds",
        ),
        (
            {"noise": WHITE | {"add_to_data": True}, "truth": {"path": "t.fits"}},
            r"no \[truth\] with add_to_data",
        ),
        ({"truth": {"path": "t.fits", "field": 1}}, "truth.field unset with"),
        ({"truth": {"path": "t.fits", "dataset": "cosmic-web"}}, "one of truth.dataset and"),
        ({"reconstruction": {"terms": ["power"]}}, "reconstruction.terms among 'scattering' with"),
        ({"reconstruction": {"levels": {"scattering": 2.0}}}, "reconstruction.levels unset with"),
        ({"reconstruction": {"weights": {"scattering": 2.0}}}, "reconstruction.weights unset with"),
        (
            {"reconstruction": {"template": "t.fits"}},
            "reconstruction.template unset with .* T is a",
        ),
        ({"reconstruction": {"reach": 30.0}}, "reconstruction.reach only with"),
        ({"reconstruction": {"start": "diffusive"}}, "reconstruction.start = "),
        ({"target": {"coarsest_nside": 4}}, r"\[target\] only with"),
        ({"contaminant": WHITE}, r"\[contaminant\] only with"),
        ({"synthesis": {"max_steps": 4}}, r"\[synthesis\] only with"),
    ],
)
def test_settings_that_do_not_fit_are_named(sections, message):
    with pytest.raises(ConfigError, match=message):
        settings(**sections)


def test_halves_do_not_stand_for_data():
    tree = {
        "task": {"kind": "denoise-polarization"},
        "noise": {"kind": "halves", "first": "a.fits", "second": "b.fits"},
    }
    with pytest.raises(ConfigError, match="exactly one of data.dataset and data.path"):
        config_from_tree(tree)
