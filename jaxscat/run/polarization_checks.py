"""What the sections of a config must have in common for polarized maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxscat.fields.pairs import check_pairs, order_fields

if TYPE_CHECKING:
    from jaxscat.run.config import Config

# Fields that go together: of one without the other, Q and U would be those of another sky.
_TOGETHER = ({"T", "E", "B"}, {"E", "B"}, {"T", "Q", "U"}, {"Q", "U"})
# Settings that only serve a map of one field, with the only value that they may have.
_OF_ONE_FIELD: dict[str, dict[str, tuple[Any, ...]]] = {
    "data": {"field": (None,), "transform": ("none",)},
    "target": {
        "second": (None,),
        "second_field": (None,),
        "second_hdu": (None,),
        "alignment": ("none",),
        "normalization": ("none", "target"),
        "hidden": ("exclude", "interior", "include"),
    },
    "synthesis": {
        "start": ("gaussian_noise", "white_noise"),
        "first_nside": (None,),
        "gaussianize": (False,),
    },
}


def check_polarization(config: Config) -> None:
    """Check the fields and pairs of a polarized map, and settings that it cannot have.

    Raises:
        ValueError: they do not fit; the message says what is expected.
    """
    fields = config.polarization.fields
    if set(fields) not in _TOGETHER or len(set(fields)) < len(fields):
        more = ""
        if "I" in fields:
            more = "; the intensity I is called T"
        elif set(fields) == {"T"}:
            more = "; T alone is a synthesis of one map (task.kind = 'synthesis')"
        raise ValueError(
            "polarization.fields of E and B, or of Q and U, with T or without, not "
            f"{list(fields)}{more}"
        )
    if set(fields) & {"Q", "U"} and config.polarization.lmax is not None:
        raise ValueError("polarization.lmax only with E and B in polarization.fields")
    try:
        pairs = check_pairs(config.polarization.pairs, order_fields(fields))
    except ValueError as error:
        said = str(error).removeprefix("pairs: ")
        raise ValueError(f"polarization.pairs that fit ({said})") from None
    if config.data.unseen == "mask" and config.target.hidden == "include":
        raise ValueError(
            "target.hidden = 'exclude' or 'interior' with data.unseen = 'mask': pixels without "
            "data cannot be read"
        )
    unused = [field for field in fields if not any(field in pair for pair in pairs)]
    if unused:
        raise ValueError(
            f"polarization.pairs with {', '.join(unused)}, or polarization.fields without: new "
            "maps of a field that no pair has would stay as they start"
        )
    for section, settings in _OF_ONE_FIELD.items():
        for name, values in settings.items():
            if getattr(getattr(config, section), name) not in values:
                expected = " or ".join(map(repr, values)) if values != (None,) else "unset"
                raise ValueError(
                    f"{section}.{name} {'= ' if values != (None,) else ''}{expected} with "
                    "task.kind = 'polarization'"
                )
