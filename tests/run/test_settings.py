"""Every setting says what it is, once, and the list of settings is that of the config classes."""

import tomllib
from collections import Counter

import pytest

from jaxscat.run.config import Config, config_from_tree
from jaxscat.run.settings import describe_sections, list_settings

SETTINGS = list_settings()
BY_NAME = {setting.name: setting for setting in SETTINGS}


def test_every_entry_of_every_section_is_listed():
    entries = [
        f"{section}.{key}"
        for section, field in Config.model_fields.items()
        for key in field.annotation.model_fields
    ]
    assert [setting.name for setting in SETTINGS] == entries
    assert list(describe_sections()) == list(Config.model_fields)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_has_a_meaning_and_a_kind(setting):
    assert setting.meaning.endswith(".") and len(setting.meaning) > 10
    assert setting.meaning[0].isupper() or setting.meaning.startswith(("`", '"'))
    assert len(setting.meaning.replace("...", "").split(". ")) <= 3, "two sentences, or three short"
    assert setting.kind


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_what_is_unset_says_what_that_means(setting):
    """Unless nothing stands for it: a map, a file or a number that is simply not given."""
    plain = {"data.dataset", "data.path", "data.order", "data.bad_data", "data.select"}
    plain |= {"target.mask", "target.second", "channels.mixing", "reconstruction.template"}
    plain |= {
        "channels.fields",
        "gaps.path",
        "gaps.discs",
        "gaps.band",
        "truth.dataset",
        "truth.path",
    }
    if setting.section not in ("noise", "contaminant") and setting.name not in plain:
        assert (setting.default is None) <= ("Unset" in setting.meaning)


def test_meanings_differ_within_a_section():
    found = Counter((s.section, s.meaning) for s in SETTINGS if s.section != "checkpoints")
    assert max(found.values()) == 1


def test_choices_and_defaults_are_those_that_a_config_takes():
    data = {"dataset": "cosmic-web"}
    for name in ("target.sigma", "synthesis.start", "pyramid.kernel_size", "data.transform"):
        setting = BY_NAME[name]
        assert len(setting.choices) > 1 and setting.default in setting.choices
        for choice in setting.choices:
            tree = {"data": data}
            tree[setting.section] = tree.get(setting.section, {}) | {setting.key: choice}
            config_from_tree(tree)
    written = tomllib.loads(config_from_tree({"data": data}).to_toml())
    for setting in SETTINGS:
        if setting.section in written and setting.default is not None:
            default = setting.default
            expected = list(default) if isinstance(default, tuple) else default
            assert written[setting.section][setting.key] == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("data.nside", "power of two"),
        ("gaps.discs", "number above 0 below 1"),
        ("gaps.radius", "number above 0 to 90"),
        ("checkpoints.every_minutes", "number from 0"),
        ("synthesis.gaussianize", "true or false"),
        ("reconstruction.terms", "list of choices"),
        ("target.second", "name of a dataset, or path of a file"),
        ("reconstruction.start", "choice"),
    ],
)
def test_kinds_are_in_words(name, kind):
    assert BY_NAME[name].kind == kind
