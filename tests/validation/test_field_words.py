import copy

import pytest

from jaxscat.validation.field_words import describe_fields

BINS = [{"l_min": 2, "l_max": 8}, {"l_min": 9, "l_max": 16}, {"l_min": 17, "l_max": 23}]


def copies(*tests):
    ranges = [(1, 3), (4, 7), (8, 23)]
    return [
        {"l_min": low, "l_max": high, "mean": mean, "by_chance": 0.05, "copied": copied}
        | {"rms": 0.784, "chance": 0.449, "aligned": False}
        for (low, high), (mean, copied) in zip(ranges, tests, strict=True)
    ]


def coherence(apart, *, odd=(), imposed=True, even=False, exchanged=False, texture=20.0):
    names = ["S1", "S2", "S3", *(["S3P"] if exchanged else []), "S4"]
    return [
        {
            "name": name,
            "parity": "odd" if name in odd else "even",
            "imposed": imposed,
            "compared": "even parts" if even else "coefficients",
            "separation": apart.get(name, 10.0),
            "texture": texture,
        }
        for name in names
    ]


def field(tests, apart, ratio, beyond=0.0):
    separations = {"wasserstein, in std": 9.0, "peaks, largest": 1.0, "C_l, rms": -50.0}
    quantities = [
        {"name": name, "group": "distances", "separation": {"gaussian": one, "filtered": one}}
        for name, one in separations.items()
    ]
    return {
        "copies": copies(*tests),
        "quantities": quantities,
        "power": [bin | {"mean": one} for bin, one in zip(BINS, (3.0, ratio, 0.5), strict=True)],
        "beyond_lmax": {"mean": beyond},
        "coherence": coherence(apart),
    }


def pair(original, mean, **options):
    found = [bin | {"mean": mean, "original": original} for bin in BINS]
    return {"correlation": found, "coherence": coherence({}, exchanged=True, **options)}


CONTENT = {
    "lmax": 16,
    "parity": "even",
    "imposed": ["TT", "BB", "TB"],
    "fields": {
        "T": field([(0.6, None), (0.1, False), (0.02, False)], {"S3": 40.4}, 1.03, 0.02),
        "B": field([(0.2, None), (-0.12, False), (0.01, False)], {"S4": 2.0}, 0.9),
    },
    "pairs": {"TB": pair(0.2, 0.05, odd=("S1", "S2", "S3P"), even=True)},
}


class Validation:
    """What words need of a validation."""

    def __init__(self, content):
        self.content = content

    def as_json(self):
        return self.content


def said(change=None):
    content = copy.deepcopy(CONTENT)
    if change is not None:
        change(content)
    return describe_fields(Validation(content))


def test_sentences_name_the_worst_and_the_best():
    assert said() == [
        "No field is a copy: where it can be told, the largest mean correlation with the original "
        "is 0.12 (B, l = 4 to 7; by chance 0.05). At l = 1 to 3 there are too few modes or too few "
        "seeds to tell.",
        "In all 7 groups of S3 and S4 the original is no Gaussian sky. In 6 of these the "
        "new maps are nearer to it than Gaussian controls with the same spectra, by 10 (S4 of T) "
        "to 40 (S3 of T) times the standard deviation of the controls. Not told apart from them: "
        "S4 of B.",
        "In distances that are in no loss (histogram, topology, peaks, ...) new maps are nearer to "
        "the original than the controls of every kind, by more than three times the scatter "
        "(standard deviation) of these: T in 1 of 2 and B in 1 of 2, and farther in none.",
        "From l = 9 on, the power in every bin is within 3 % (TT) and 10 % (BB) of the original's. "
        "Beyond l = 16 new maps have 2 % (T) of their variance.",
        "Not imposed (parity = “even”): TB of the power, and all handedness of textures, which a "
        "mirror changes. From l = 9 on, correlations of the new maps reach 0.05 in TB (the "
        "original 0.2) in a bin.",
    ]


def test_copies_are_named_with_field_and_range():
    def copied(content):
        content["fields"]["B"]["copies"][1] |= {"mean": 0.5, "copied": True}

    assert said(copied)[0].startswith("The new maps copy the original in B at l = 4 to 7 (+0.50).")


def test_maps_that_follow_the_original_up_to_their_sign_are_named():
    def aligned(content):
        content["fields"]["T"]["copies"][0]["aligned"] = True
        content["fields"]["B"]["copies"][0]["aligned"] = True
        content["fields"]["B"]["copies"][0]["copied"] = True

    assert said(aligned)[0].endswith(
        " Up to their sign, new maps follow the original: T at l = 1 to 3 (in good part: root mean "
        "square correlation 0.78, by chance 0.45)."
    )


def test_a_gaussian_original_has_nothing_to_show():
    def gaussian(content):
        for one in [*content["fields"].values(), *content["pairs"].values()]:
            for row in one["coherence"]:
                row["texture"] = 1.0

    assert "no farther from Gaussian skies" in said(gaussian)[1]


def test_without_controls_textures_are_not_compared():
    def none(content):
        for one in [*content["fields"].values(), *content["pairs"].values()]:
            for row in one["coherence"]:
                row["separation"] = row["texture"] = None
        for one in content["fields"].values():
            one["quantities"] = []

    sentences = said(none)
    assert sentences[1] == "There are too few Gaussian controls to compare the textures with."
    assert len(sentences) == 4


def test_what_is_farther_than_the_controls_is_named():
    def worse(content):
        for one in [*content["fields"].values(), *content["pairs"].values()]:
            for row in one["coherence"]:
                row["separation"] = -5.0

    text = said(worse)[1]
    assert "In none of these" in text
    assert (
        "Farther than they are: S3 of T, S4 of T, S3 of B, S4 of B, S3 of TB, S3 of TB "
        "(fields exchanged) and S4 of TB" in text
    )


@pytest.mark.parametrize("imposed", [["TT", "BB"], ["TT", "TB"]])
def test_pairs_that_the_target_does_not_have_are_named(imposed):
    def left(content):
        content["imposed"], content["parity"] = imposed, "all"
        for row in content["pairs"]["TB"]["coherence"]:
            row["imposed"], row["compared"] = "TB" in imposed, "coefficients"

    sentences = said(left)
    missing = "TB" if "TB" not in imposed else "BB"
    assert sentences[-1].startswith(f"The target has no {missing}.")
    near = "the correlation of fields within 0.15 (TB)" in sentences[-2]
    assert near == ("TB" in imposed)
    assert ("orrelations of the new maps reach" in sentences[-1]) == ("TB" not in imposed)
