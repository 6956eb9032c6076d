import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from jaxscat.run.config import Config, config_from_tree, load_config
from jaxscat.run.overrides import (
    ConfigError,
    describe_problem,
    merge_alternatives,
    parse_overrides,
)

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def write(tmp_path):
    def _write(text, name="trial.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return _write


MINIMAL = '[data]\ndataset = "cosmic-web"\n'
MASKED = '[target]\nmask = "mask.npy"\n'
THRESHOLD = "target.mask_threshold = "


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_config_is_valid_and_named_after_its_file(path):
    assert load_config(path).run.name == path.stem


def test_reference_experiment_has_the_issue_values():
    config = load_config(CONFIGS / "lss.toml")
    assert (config.data.dataset, config.data.nside) == ("lss", 32)
    assert (config.pyramid.orientations, config.pyramid.kernel_size) == (4, 3)
    assert config.target.sigma == "pixels" and config.target.mask is None
    assert config.synthesis.seeds == (1234,) and config.synthesis.max_steps == 300
    assert config.run.precision == "float32"
    assert (config.target.coarsest_nside, config.target.weights) == (8, "balanced")
    assert config.synthesis.start == "gaussian_noise"
    foscat = load_config(CONFIGS / "lss_foscat.toml")
    loss = {"sigma": "foscat", "sigma_floor": 0.0, "coarsest_nside": 1, "weights": "plain"}
    assert foscat.target.model_dump(exclude_unset=True) == loss
    start = {"start": "reference_noise"}
    assert foscat.synthesis == config.synthesis.model_copy(update=start)
    assert foscat.data == config.data


def test_a_number_of_seeds_is_short_for_the_first_ones(write):
    config = load_config(write(MINIMAL + "[synthesis]\nseeds = 3\n"))
    assert config.synthesis.seeds == (0, 1, 2)


def test_defaults_and_name_from_the_file(write):
    config = load_config(write(MINIMAL, "my-run.toml"))
    assert config.run.name == "my-run"
    assert config.synthesis.seeds == (1234,)


def test_resolved_toml_reads_back_the_same(write):
    config = load_config(write(MINIMAL), {"synthesis.seeds": ["1", "2", "3"], "data.nside": ["8"]})
    assert config_from_tree(tomllib.loads(config.to_toml())) == config
    assert config.synthesis.seeds == (1, 2, 3)


def test_target_options_are_off_unless_asked_for(write):
    target = load_config(write(MINIMAL)).target
    assert (target.mask_threshold, target.harmonics, target.second) == (None, None, None)
    assert (target.normalization, target.reduction, target.alignment) == ("none", "none", "none")


def test_the_loss_is_balanced_and_of_fine_scales_unless_said(write):
    config = load_config(write(MINIMAL))
    target = config.target
    assert (target.sigma, target.sigma_floor, target.weights) == ("pixels", 0.01, "balanced")
    assert target.coarsest_nside is None
    assert config.synthesis.start == "gaussian_noise" and config.data.transform == "none"
    words = "--target.coarsest_nside 4 --target.weights plain --target.sigma_floor 0".split()
    config = load_config(write(MINIMAL), parse_overrides(words))
    target = config.target
    assert (target.coarsest_nside, target.weights, target.sigma_floor) == (4, "plain", 0)
    assert config_from_tree(tomllib.loads(config.to_toml())) == config
    unset = write(MINIMAL + "[target]\ncoarsest_nside = 4\n")
    words = ["--target.coarsest_nside", "none", "--data.transform", "exp"]
    config = load_config(unset, parse_overrides(words))
    assert config.target.coarsest_nside is None and config.data.transform == "exp"


def test_target_options_are_read_and_written(write):
    options = """
        [pyramid]
        kernel_size = 7
        [target]
        mask = "mask.npy"
        mask_threshold = [0, 0.25]
        normalization = "own"
        reduction = "harmonics"
        harmonics = 2
        second = "lss"
        alignment = "target"
    """
    config = load_config(write(MINIMAL + options))
    assert config.pyramid.kernel_size == 7
    assert config.target.mask_threshold == (0.0, 0.25)
    assert (config.target.normalization, config.target.reduction) == ("own", "harmonics")
    assert (config.target.harmonics, config.target.second) == (2, "lss")
    assert config.target.alignment == "target"
    assert config_from_tree(tomllib.loads(config.to_toml())) == config


def test_harmonics_are_one_unless_said(write):
    config = load_config(write(MINIMAL + '[target]\nreduction = "harmonics"\n'))
    assert tomllib.loads(config.to_toml())["target"]["harmonics"] == 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (MINIMAL + "[synthesis]\nmax_step = 3\n", ["synthesis.max_step", "max_steps"]),
        (MINIMAL + "[sythesis]\nmax_steps = 3\n", ["sythesis", "synthesis"]),
        (MINIMAL + '[synthesis]\nmax_steps = "many"\n', ["max_steps", "'many'", "integer"]),
        (MINIMAL + "[synthesis]\nmax_steps = 3.5\n", ["max_steps", "3.5", "integer"]),
        (MINIMAL + "[synthesis]\nmax_steps = true\n", ["max_steps", "True", "integer"]),
        (
            MINIMAL + "[synthesis]\nmax_steps = 0\n",
            ["max_steps", "0", "greater than or equal to 1"],
        ),
        (MINIMAL + '[run]\noutput = "here"\n', ["run.output", "--output", "run.name"]),
        (MINIMAL + "[synthesis]\nseeds = 0\n", ["synthesis.seeds", "0", "from 1 up"]),
        (MINIMAL + "[synthesis]\nseeds = 1000000000000\n", ["synthesis.seeds", "up to 1000000"]),
        (MINIMAL + "[synthesis]\nseeds = 1.5\n", ["synthesis.seeds", "1.5", "tuple"]),
        (MINIMAL + '[synthesis]\nstart = "noise"\n', ["synthesis.start", "white_noise"]),
        (MINIMAL + "[synthesis]\nbatch_size = 0\n", ["synthesis.batch_size", "0"]),
        (MINIMAL + '[synthesis]\nseeds = [1, "2"]\n', ["synthesis.seeds.1", "'2'", "integer"]),
        (MINIMAL + "[synthesis]\nseeds = []\n", ["synthesis.seeds", "at least 1"]),
        (MINIMAL + "[synthesis]\nseeds = [1, 1]\n", ["synthesis.seeds", "differ"]),
        (MINIMAL + "[synthesis]\nseeds = [-1]\n", ["synthesis.seeds.0", "-1"]),
        (MINIMAL + '[target]\nsigma = "foscatt"\n', ["target.sigma", "'foscatt'", "'pixels'"]),
        (
            MINIMAL + '[target]\nweights = "equal"\n',
            ["target.weights = 'equal'", "'balanced' or 'plain'"],
        ),
        (MINIMAL + "[target]\nsigma_floor = -0.1\n", ["target.sigma_floor = -0.1"]),
        (MINIMAL + "[target]\nsigma_floor = 1\n", ["target.sigma_floor = 1", "less than 1"]),
        (MINIMAL + "[target]\nsigma_floor = nan\n", ["target.sigma_floor = nan"]),
        (MINIMAL + "[target]\nsigma_floor = true\n", ["target.sigma_floor = True"]),
        (MINIMAL + "[target]\ncoarsest_nside = 3\n", ["target.coarsest_nside", "power of two"]),
        (MINIMAL + '[synthesis]\nform = "harmonics"\n', ["synthesis.form", "'harmonic'"]),
        (MINIMAL + "[synthesis]\nstagnation = 1\n", ["synthesis.stagnation = 1", "less than 1"]),
        (MINIMAL + "[synthesis]\nmax_evaluations = 0\n", ["synthesis.max_evaluations = 0"]),
        (MINIMAL + "[synthesis]\nfirst_nside = 12\n", ["first_nside", "power of two"]),
        (MINIMAL + 'field = ["Q", "U"]\n', ["data.field = ['Q', 'U']: expected one column,"]),
        (MINIMAL + "field = -1\n", ["data.field = -1: expected one column,", "number from 0"]),
        (MINIMAL + "hdu = true\n", ["data.hdu = True: expected one column, table or variable"]),
        (MINIMAL + "[target]\nmask_hdu = 1.5\n", ["target.mask_hdu = 1.5: expected one column"]),
        (MINIMAL + 'bad_data = "x"\n', ["data.bad_data = 'x'", "number"]),
        (MINIMAL + 'zero_hits = "mask"\n', ["data.zero_hits = 'mask'", "'data' or 'bad'"]),
        (MINIMAL + "select = {time = 0.5}\n", ["data.select = {'time': 0.5}: expected a table of"]),
        (MINIMAL + 'transform = "root"\n', ["data.transform = 'root'", "'exp' or 'log'"]),
        (MINIMAL + "target = 3\n", ["data.target is not a setting"]),
        ("target = 3\n" + MINIMAL, ["target = 3", "table [target]"]),
        (MINIMAL + "nside = 12\n", ["data.nside", "12", "power of two"]),
        (MINIMAL + 'path = "x.npy"\n', ["data", "exactly one of data.dataset and data.path"]),
        (MINIMAL + "[pyramid]\nkernel_size = 4\n", ["pyramid.kernel_size = 4", "3, 5 or 7"]),
        (MINIMAL + "[pyramid]\nkernel_size = 9\n", ["pyramid.kernel_size = 9", "3, 5 or 7"]),
        (
            MINIMAL + '[target]\nnormalization = "self"\n',
            ["target.normalization = 'self'", "'none', 'target' or 'own'"],
        ),
        (
            MINIMAL + '[target]\nreduction = "mean"\n',
            ["target.reduction = 'mean'", "'none', 'isotropic' or 'harmonics'"],
        ),
        (
            MINIMAL + '[target]\nalignment = "own"\n',
            ["target.alignment = 'own'", "'none' or 'target'"],
        ),
        (MINIMAL + "[target]\nsecond = 2\n", ["target.second = 2", "string"]),
        (MINIMAL + '[target]\nsecund = "lss"\n', ["target.secund", "did you mean 'second'"]),
        (
            MINIMAL + '[target]\nreduction = "harmonics"\nharmonics = 0\n',
            ["target.harmonics = 0", "greater than or equal to 1"],
        ),
        (
            MINIMAL + "[target]\nharmonics = 1\n",
            ["expected target.harmonics only with target.reduction = 'harmonics'"],
        ),
        (
            MINIMAL + '[target]\nreduction = "isotropic"\nharmonics = 1\n',
            ["expected target.harmonics only with target.reduction = 'harmonics'"],
        ),
        (
            MINIMAL + '[target]\nreduction = "harmonics"\nharmonics = 3\n',
            ["target.harmonics of at most half the pyramid.orientations"],
        ),
        (MINIMAL + MASKED + "mask_threshold = -0.1\n", [THRESHOLD + "-0.1", "from 0 up"]),
        (MINIMAL + MASKED + "mask_threshold = inf\n", [THRESHOLD + "inf", "from 0 up"]),
        (MINIMAL + MASKED + "mask_threshold = true\n", [THRESHOLD + "True", "from 0 up"]),
        (MINIMAL + MASKED + "mask_threshold = []\n", [THRESHOLD + "[]", "one for every scale"]),
        (
            MINIMAL + MASKED + 'mask_threshold = [0, "1"]\n',
            [THRESHOLD + "[0, '1']", "one for every scale"],
        ),
        (
            MINIMAL + "[target]\nmask_threshold = 0.1\n",
            ["target.mask_threshold only with target.mask or data.unseen = 'mask'"],
        ),
        ("[run]\n", ["data is missing"]),
        (MINIMAL + '[run]\nname = "../up"\n', ["run.name", "'../up'"]),
        (MINIMAL + "[synthesis\n", ["not valid TOML", "line 3"]),
    ],
)
def test_bad_config_is_one_line_with_place_value_and_expectation(write, text, parts):
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert path.name in message and "\n" not in message
    for part in parts:
        assert part in message
    assert "pydantic" not in message


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.toml"):
        load_config(tmp_path / "nowhere.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(binary)


def test_overrides_are_read_as_their_entry_asks(write):
    words = "--synthesis.seeds 7 --run.name 32 --target.sigma=foscat --pyramid.scales 2".split()
    config = load_config(write(MINIMAL), parse_overrides(words))
    assert config.synthesis.seeds == (7,)
    assert config.run.name == "32"
    assert config.target.sigma == "foscat"
    assert config.pyramid.scales == 2


def test_override_of_the_path_replaces_the_dataset_and_none_unsets(write):
    path = write(MINIMAL + "nside = 8\n")
    config = load_config(path, parse_overrides(["--data.path", "x.npy", "--data.nside", "none"]))
    assert (config.data.dataset, config.data.path, config.data.nside) == (None, "x.npy", None)


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["0.25"], 0.25), (["0", "0.25"], (0.0, 0.25)), (["[0.25]"], (0.25,)), (["none"], None)],
)
def test_threshold_on_the_command_line_is_one_or_several(write, words, expected):
    path = write(MINIMAL + MASKED + "mask_threshold = 0.5\n")
    assert load_config(path, {"target.mask_threshold": words}).target.mask_threshold == expected


def test_target_options_on_the_command_line(write):
    path = write(MINIMAL + '[target]\nsecond = "lss"\nnormalization = "own"\n')
    words = "--target.second none --target.normalization none --pyramid.kernel_size 5".split()
    config = load_config(path, parse_overrides(words))
    assert (config.target.second, config.target.normalization) == (None, "none")
    assert config.pyramid.kernel_size == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--synthesis.max_step", "3"], "did you mean 'max_steps'"),
        (["--sinthesis.max_steps", "3"], "did you mean 'synthesis'"),
        (["--synthesis", "3"], "--synthesis is not a setting but a section"),
        (["--run.name"], "has no value"),
        (["stray"], "unexpected 'stray'"),
        (["--synthesis.max_steps", "3", "4"], "expected one value"),
        (["--synthesis.max_steps", "soon"], "'soon': expected a valid integer"),
        (["--synthesis.seeds", "1", "x"], "synthesis.seeds.1 = 'x'"),
        (["--target.mask_threshold", "low"], "target.mask_threshold = 'low'"),
        (["--target.second", "a", "b"], "expected one value"),
    ],
)
def test_bad_overrides(write, words, message):
    with pytest.raises(ConfigError) as caught:
        load_config(write(MINIMAL), parse_overrides(words))
    assert message in str(caught.value)


def test_config_is_frozen():
    config = Config.model_validate({"data": {"dataset": "cosmic-web"}})
    with pytest.raises(ValueError, match="frozen"):
        config.data.nside = 3  # type: ignore[misc]


def test_no_message_shows_the_inner_names_of_pydantic():
    """Whatever is wrong with an entry, its location is section and key (and a place in a list)."""
    for section, model in Config.model_fields.items():
        for key in model.annotation.model_fields:
            for value in (["Q", "U"], {"a": [1]}, 1.5, [[1]], b"x"):
                tree = {"data": {"dataset": "cosmic-web"}}
                tree[section] = tree.get(section, {}) | {key: value}
                try:
                    config_from_tree(tree)
                except ConfigError as error:
                    problems = str(error).removeprefix("config: ").split("; ")
                    for problem in problems:
                        location = problem.partition(" = ")[0]
                        known = rf"{section}\.{key}(\.\d+)?|expected .*"
                        assert re.fullmatch(known, location), str(error)


def test_alternatives_of_an_entry_are_one_problem():
    class Part(BaseModel):
        model_config = ConfigDict(strict=True)
        either: int | str = 0

    class Whole(BaseModel):
        part: Part = Part()

    tree = {"part": {"either": [1]}}
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(tree)
    assert len(caught.value.errors()) == 2
    (problem,) = merge_alternatives(caught.value.errors(), tree)
    assert describe_problem(problem, Whole) == (
        "part.either = [1]: expected a valid integer or a valid string"
    )


def test_options_of_files_read_back_the_same(write):
    text = MINIMAL + 'bad_data = nan\nhdu = "MAPS"\nfield = 2\nselect = {time = 3, level = "top"}\n'
    config = load_config(write(text))
    again = load_config(write(config.to_toml(), "again.toml"), {"run.name": ["trial"]})
    assert config == again
    assert config.data.select == {"time": 3, "level": "top"}
    words = parse_overrides(
        [
            *"--data.bad_data -9999 --data.hdu 2 --data.unit uK_CMB --data.zero_hits bad".split(),
            *("--data.select", "{time = 1}"),
        ]
    )
    data = load_config(write(MINIMAL), words).data
    assert (data.bad_data, data.hdu, data.unit, data.zero_hits) == (-9999.0, 2, "uK_CMB", "bad")
    assert data.select == {"time": 1}
