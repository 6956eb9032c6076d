"""The data of several fields, and known fields beside them, checked once."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxscat.fields.field_noise import FieldNoise, SeparateNoise
from jaxscat.fields.noise import as_noise
from jaxscat.fields.pairs import check_fields
from jaxscat.maps import describe
from jaxscat.operators.pyramid import Pyramid
from jaxscat.reconstruction.observed import Observed, check_whole_sphere, observe
from jaxscat.reconstruction.spectra import check_data


class ObservedFields(NamedTuple):
    """Maps as a reconstruction of several fields works on them.

    Attributes:
        fields: names of the fields, in the order of maps.
        each: the data of every field.
        known: templates by name, without their mean, in the type of the pyramid.
    """

    fields: tuple[str, ...]
    each: tuple[Observed, ...]
    known: dict[str, Float[np.ndarray, " p"]]

    @property
    def together(self) -> Observed:
        """The data of all fields as one."""
        means = np.array([[one.mean] for one in self.each])
        return Observed(np.stack([one.values for one in self.each]), means, None)


def observe_fields(data: Any, templates: Any, pyramid: Pyramid) -> ObservedFields:
    """Check the data of several fields and the templates, and take their means off.

    Raises:
        ValueError: no dictionary of maps, a field that is a template as well, or a bad map, named.
    """
    spec = check_whole_sphere(pyramid)
    fields = check_fields(data, "data")
    given = {} if templates is None else templates
    known = () if templates is None else check_fields(given, "templates")
    both = [field for field in known if field in fields]
    if both:
        raise ValueError(
            f"templates: got {both[0]}, which is a field of the data, expected others than "
            f"{', '.join(fields)}"
        )
    each = [observe(data[field], pyramid, name=f"data[{field!r}]") for field in fields]
    maps = {}
    for field in known:
        name = f"templates[{field!r}]"
        values, _ = check_data(given[field], None, of=name, npix=spec.npix)
        maps[field] = (values - values.mean()).astype(spec.dtype)
    return ObservedFields(fields, tuple(each), maps)


def as_field_noise(noise: Any, fields: tuple[str, ...], npix: int) -> FieldNoise:
    """Return a noise model of fields as it is, and a dictionary of one for each as `SeparateNoise`.

    Raises:
        ValueError: neither of them, of other fields than the data, or of another nside.
    """
    if isinstance(noise, FieldNoise):
        if noise.fields != fields:
            raise ValueError(
                f"noise: got that of {', '.join(noise.fields)}, expected that of the fields of the "
                f"data, {', '.join(fields)}"
            )
        if noise.npix != npix:
            raise ValueError(f"noise: got maps of {noise.npix} pixels, expected {npix} as the data")
        return noise
    if not isinstance(noise, Mapping) or set(noise) != set(fields):
        got = f"that of {', '.join(map(str, noise))}" if isinstance(noise, Mapping) else None
        raise ValueError(
            f"noise: got {got or describe(noise)}, expected a noise model for each field of the "
            f"data, {', '.join(fields)}, or one of all such as jaxscat.PolarizationNoise"
        )
    parts = [as_noise(noise[field], npix, name=f"noise[{field!r}]") for field in fields]
    return SeparateNoise(fields, tuple(parts))
