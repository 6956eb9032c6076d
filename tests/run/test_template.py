"""A config to fill in is TOML, whatever the values are, and says what they were."""

import tomllib

import pytest

from jaxscat.run.config import load_config
from jaxscat.run.template import format_value, write_template


@pytest.mark.parametrize(
    "value",
    [
        {"power": 2.0},
        {"power": 2, "cross power": 0.5, "Ä.b": [1, 2]},
        {},
        {"of": {"a": True, "b": ({"c": "x = 1"}, {"d": -1e-30})}},
        (1, "two", [3.5, {}]),
        'a "quoted" \\ text\n in two lines',
    ],
)
def test_values_are_read_as_they_were(value):
    line = f"value = {format_value(value)}"

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return [plain(one) for one in value] if isinstance(value, list | tuple) else value

    assert tomllib.loads(line) == {"value": plain(value)}
    assert "\n" not in line or isinstance(value, str)


def test_a_config_with_tables_is_loaded_with_them(tmp_path):
    """Also the lines of sections that a synthesis does not use, once their marks are off."""
    values = {
        "data.path": "map.fits",
        "data.select": {"TIME": 3, "LEVEL": "surface"},
        "reconstruction.weights": {"scattering": 2.0, "power": 0.5},
    }
    text = write_template(values)
    (tmp_path / "my.toml").write_text(text)
    assert load_config(tmp_path / "my.toml").data.select == values["data.select"]
    (weights,) = (line for line in text.splitlines() if line.startswith("# weights = {"))
    assert tomllib.loads(weights.removeprefix("# "))["weights"] == values["reconstruction.weights"]
