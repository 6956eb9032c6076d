"""The settings of polarized maps, and what is said of those that cannot be used."""

import tomllib

import pytest

from jaxscat.run.config import config_from_tree
from jaxscat.run.overrides import ConfigError


def settings(**sections):
    tree = {"task": {"kind": "polarization"}, "data": {"path": "map.fits"}}
    for name, entries in sections.items():
        tree[name] = tree.get(name, {}) | entries
    return config_from_tree(tree)


def test_a_resolved_config_reads_back_the_same_and_has_no_foreign_sections():
    config = settings(polarization={"pairs": ["TT", "EE", "BB", "TE"], "parity": "even"})
    text = config.to_toml()
    assert config_from_tree(tomllib.loads(text)) == config
    sections = set(tomllib.loads(text))
    assert {"polarization", "synthesis", "target"} <= sections
    assert not {"noise", "gaps", "channels", "truth", "reconstruction"} & sections
    assert config.polarization.fields == ("T", "E", "B")


def test_a_synthesis_of_one_map_has_no_such_section():
    config = config_from_tree({"data": {"path": "map.fits"}})
    assert "polarization" not in tomllib.loads(config.to_toml())
    with pytest.raises(ConfigError, match=r"\[polarization\] only with task.kind = 'polarization'"):
        config_from_tree({"data": {"path": "m.fits"}, "polarization": {"parity": "even"}})


def test_a_single_pair_needs_no_list():
    assert settings(polarization={"fields": ["E", "B"], "pairs": "EB"}).polarization.pairs == (
        "EB",
    )


@pytest.mark.parametrize("fields", [["E", "B"], ["Q", "U"], ["T", "Q", "U"], ["B", "T", "E"]])
def test_fields_that_go_together(fields):
    assert list(settings(polarization={"fields": fields}).polarization.fields) == fields


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"polarization": {"fields": ["T", "E", "Q"]}}, "E and B, or of Q and U, .*, not"),
        ({"polarization": {"fields": ["T", "E"]}}, "E and B, or of Q and U, .*, not"),
        ({"polarization": {"fields": ["T"]}}, "T alone is a synthesis of one map"),
        ({"polarization": {"fields": ["I", "Q", "U"]}}, "the intensity I is called T"),
        ({"polarization": {"fields": ["E", "B", "B"]}}, "E and B, .*, not"),
        ({"polarization": {"fields": []}}, "polarization.fields"),
        ({"polarization": {"fields": ["Q"]}}, "E and B, or of Q and U"),
        (
            {"data": {"unseen": "mask"}, "target": {"hidden": "include"}},
            "target.hidden = 'exclude' or 'interior' with",
        ),
        ({"polarization": {"fields": ["Q", "U"], "lmax": 8}}, "lmax only with E and B"),
        ({"polarization": {"lmax": 1}}, "polarization.lmax"),
        ({"polarization": {"pairs": ["TT", "TX"]}}, "polarization.pairs that fit .got 'TX'"),
        ({"polarization": {"pairs": ["TE", "ET", "BB"]}}, "got ET twice"),
        ({"polarization": {"pairs": ["TT", "TE"]}}, "polarization.pairs with B, or"),
        ({"polarization": {"parity": "odd"}}, "polarization.parity"),
        ({"data": {"field": 1}}, "data.field unset with"),
        ({"data": {"transform": "exp"}}, "data.transform = 'none' with"),
        ({"target": {"second": "other.fits"}}, "target.second unset"),
        ({"target": {"alignment": "target"}}, "target.alignment = 'none'"),
        ({"target": {"normalization": "own"}}, "normalization = 'none' or 'target'"),
        ({"target": {"hidden": "patch"}}, "target.hidden = 'exclude' or"),
        ({"synthesis": {"first_nside": 8}}, "synthesis.first_nside unset"),
        ({"synthesis": {"gaussianize": True}}, "synthesis.gaussianize = False"),
        ({"synthesis": {"start": "reference_noise"}}, "synthesis.start = 'gaussian_noise' or"),
        ({"noise": {"kind": "white", "standard_deviation": 1.0}}, r"\[noise\] only with"),
    ],
)
def test_settings_that_do_not_fit_are_named(sections, message):
    with pytest.raises(ConfigError, match=message):
        settings(**sections)
