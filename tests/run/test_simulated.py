"""What is added to a map, or cut out of it, is said; and warned of where an example does it."""

import pytest

from jaxscat.run.config import config_from_tree, load_config
from jaxscat.run.simulated import describe_simulation, warn_of_example

WHITE = {"kind": "white", "standard_deviation": 2.0}
ADDED = WHITE | {"add_to_data": True}


def build(kind, **sections):
    return config_from_tree({"task": {"kind": kind}, "data": {"path": "sky.fits"}} | sections)


def test_data_as_they_are_need_no_sentence():
    assert describe_simulation(build("denoise", noise=WHITE)) == []
    assert describe_simulation(build("inpaint", gaps={"path": "gaps.fits"})) == []
    assert describe_simulation(config_from_tree({"data": {"path": "sky.fits"}})) == []


def test_what_is_added_is_named_and_the_map_called_the_truth():
    (said,) = describe_simulation(build("denoise", noise=ADDED))
    assert said == (
        "The map of [data], sky.fits, counts as the truth: white noise of standard deviation 2 "
        "(noise.add_to_data = true) was added to it to make the data."
    )
    contaminant = {"kind": "spectrum", "slope": -1.0, "standard_deviation": 3.0}
    contaminant |= {"add_to_data": True}
    channels = {"mixing": [1.0, 2.0]}
    several = build("separate", channels=channels, contaminant=contaminant, noise=ADDED)
    (said,) = describe_simulation(several)
    assert "white noise of standard deviation 2 (noise.add_to_data = true) and a contam" in said
    assert "were added to it in every channel" in said
    (cut,) = describe_simulation(build("inpaint", gaps={"discs": 0.2}))
    assert "counts as the truth: gaps were cut into it (gaps.discs = 0.2)" in cut


@pytest.mark.parametrize(
    ("name", "given", "named"),
    [
        ("denoise", {}, ["--noise.add_to_data false", "--data.transform none"]),
        ("denoise", {"noise.add_to_data": ["true"]}, ["--data.transform none"]),
        ("denoise", {"data.transform": ["none"]}, ["--noise.add_to_data false"]),
        (
            "denoise",
            {"data.transform": ["none"], "noise.add_to_data": ["false"]},
            ["noise.standard_deviation = 3.5 stands in the config"],
        ),
        (
            "denoise",
            {
                "data.transform": ["none"],
                "noise.add_to_data": ["false"],
                "noise.standard_deviation": ["0.17"],
            },
            [],
        ),
        ("inpaint", {}, ["--gaps.discs none and --data.unseen mask", "--data.transform none"]),
        (
            "separate",
            {},
            [
                "--noise.add_to_data false",
                "--contaminant.add_to_data false",
                "--data.transform none",
            ],
        ),
        ("quickstart", {}, []),
    ],
)
def test_a_config_with_another_map_is_warned_of(name, given, named):
    given = {"data.path": ["my.fits"]} | given
    said = warn_of_example(load_config(f"configs/{name}.toml", given), given)
    assert len(said) == len(named)
    for sentence, words in zip(said, named, strict=True):
        assert sentence.startswith("--data.path my.fits: ") and words in sentence


def test_a_config_with_its_own_map_is_not_warned_of():
    given = {"reconstruction.steps": ["3"]}
    assert warn_of_example(load_config("configs/denoise.toml", given), given) == []
