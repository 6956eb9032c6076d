"""Statistics, standard errors and the seed loss of the installed FOSCAT.

`experiments.foscat_reference.geometry` says what "exact" and "foscat" geometry are. FOSCAT keeps
the operators it has built as files, by default in the home directory and under names that do not
know their precision. Here they lie in a folder of each geometry, temporary unless one is given, so
a user's files are neither read nor changed.
"""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import foscat.scat_cov as scat_cov
import numpy as np
import torch
from jaxtyping import Int

from experiments.foscat_reference.conventions import CROSS_GROUPS, Geometry, Groups, Map, Mask
from experiments.foscat_reference.geometry import float64_geometry
from experiments.foscat_reference.losses import Distance, FoscatLoss


@dataclass(frozen=True)
class FoscatAlignment:
    """How FOSCAT turns the orientations of every pixel, scale by scale.

    Attributes:
        first: matrices [1, L L, p] for the wavelet coefficients of a map.
        second: matrices [j + 1, 1, L L, L, p] for those of its moduli.
    """

    first: dict[int, torch.Tensor]
    second: dict[int, torch.Tensor]


@dataclass(frozen=True)
class Reductions:
    """FOSCAT's angular reductions of one measurement and of its standard errors."""

    mean: Groups
    mean_of_sigma: Groups
    harmonics: Groups
    harmonics_sigma: Groups
    spread: Groups


class Foscat:
    """FOSCAT's HEALPix scattering covariances.

    Args:
        orientations: number of wavelet orientations.
        kernel_size: points on a side of the wavelet kernel (3, 5 or 7).
        nside: of the sky that `cell_ids` are pixels of; only with them.
        cell_ids: ascending NESTED pixels of a patch, whose values then are the maps. FOSCAT keeps
            operators by nside alone, so one object serves one patch.
        mask_threshold: weights up to this count as zero after every downsampling of a mask.
        precision: type of FOSCAT's own arithmetic ("float32" or "float64").
        geometry: "exact" or "foscat", see `experiments.foscat_reference.geometry`.
        cache: folder for FOSCAT's operator files; None is a temporary one.
    """

    def __init__(
        self,
        orientations: int = 4,
        kernel_size: int = 3,
        *,
        nside: int | None = None,
        cell_ids: Int[np.ndarray, " p"] | None = None,
        mask_threshold: float | None = None,
        precision: str = "float64",
        geometry: Geometry = "foscat",
        cache: Path | None = None,
    ):
        if (nside is None) != (cell_ids is None):
            raise ValueError("nside and cell_ids: got one of them, expected both or none")
        self.precision = precision
        self.geometry = geometry
        self._patch = {} if cell_ids is None else {"nside": nside, "cell_ids": cell_ids}
        self._finer = kernel_size > 3 and cell_ids is None
        if cache is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="foscat-")
            cache = Path(self._temporary.name)
        folder = cache / geometry
        folder.mkdir(parents=True, exist_ok=True)
        with self.at_work():
            self.operator: Any = scat_cov.funct(
                NORIENT=orientations,
                KERNELSZ=kernel_size,
                all_type=precision,
                mask_thres=mask_threshold,
                TEMPLATE_PATH=str(folder),
                silent=True,
            )

    def measure(
        self,
        field: Map,
        mask: Mask | None = None,
        *,
        second: Map | None = None,
        alignment: FoscatAlignment | None = None,
        norm: str | None = None,
    ) -> Groups:
        """Return S0 to S4 of one map, with S3P if there is a second map.

        Every group has a leading axis only for masks [M, p]. FOSCAT's `norm="auto"` remembers the
        first map for all later ones.
        """
        options = self.evaluation_options(mask, second, alignment)
        with self.at_work():
            statistics = self.operator.eval(self.tensor(field), norm=norm, **options)
        return _groups(statistics, _several(mask))

    def measure_with_sigma(
        self,
        field: Map,
        mask: Mask | None = None,
        *,
        second: Map | None = None,
        alignment: FoscatAlignment | None = None,
    ) -> tuple[Groups, Groups]:
        """Return the coefficients of one map as `measure`, and FOSCAT's errors of them."""
        mean, sigma = self._reference(field, self.evaluation_options(mask, second, alignment))
        return _groups(mean, _several(mask)), _groups(sigma, _several(mask))

    def reductions(
        self, field: Map, mask: Mask | None = None, *, second: Map | None = None
    ) -> Reductions:
        """Return the angular reductions of one map's coefficients, with one harmonic."""
        mean, sigma = self._reference(field, self.evaluation_options(mask, second))
        harmonics = {"nharm": 1, "imaginary": True}
        with self.at_work():
            reduced = (
                mean.iso_mean(),
                sigma.iso_mean(),
                mean.fft_ang(**harmonics),
                sigma.fft_ang_sigma(**harmonics),
                mean.iso_std(),
            )
        return Reductions(*(_groups(part, _several(mask)) for part in reduced))

    def align(self, field: Map) -> FoscatAlignment:
        """Return the turns that make one full-sky map's dominant orientation the first one."""
        if self._patch:
            raise ValueError("align: got a patch, expected the full sky, which FOSCAT needs")
        with self.at_work():
            turns = self.operator.stat_cfft(self.tensor(field), upscale=self._finer)
        return FoscatAlignment(*turns)

    def seed_loss(
        self,
        original: Map,
        mask: Mask | None = None,
        *,
        second: Map | None = None,
        alignment: FoscatAlignment | None = None,
    ) -> FoscatLoss:
        """Return the loss of FOSCAT's demonstrations for one original map.

        It is the mean over all coefficients of the squared distance to those of the original, in
        units of their standard errors. A second map stays as it is.
        """
        options = self.evaluation_options(mask, second, alignment)
        mean, sigma = self._reference(original, options)
        operator = self.operator

        def distance(fields: torch.Tensor) -> torch.Tensor:
            statistics = operator.eval(fields, **options)
            if second is not None:
                # FOSCAT's square would lose S3P.
                return operator.reduce_distance(statistics, mean, sigma=sigma)
            return operator.reduce_mean(operator.square((mean - statistics) / sigma))

        return self.build_loss(distance)

    def build_loss(self, distance: Distance) -> FoscatLoss:
        """Return a function of maps [1, p], written with `operator`, as a loss of one map."""
        return FoscatLoss(distance, self.operator, self.at_work, self.tensors)

    def convolution_matrix(self, nside: int) -> np.ndarray:
        """Return the wavelet as a dense complex matrix [L, npix, npix] (output, input pixel)."""
        with self.at_work():
            columns = self.operator.convol(self.tensors(np.eye(12 * nside**2)))
        return np.moveaxis(columns.numpy(), 0, -1)

    def downsampling_matrix(self, nside: int) -> np.ndarray:
        """Return the step from `nside` to its half as a dense matrix [npix / 4, npix]."""
        with self.at_work():
            columns, _ = self.operator.ud_grade_2(self.tensors(np.eye(12 * nside**2)))
        return columns.numpy().T

    def evaluation_options(
        self,
        mask: Mask | None,
        second: Map | None = None,
        alignment: FoscatAlignment | None = None,
    ) -> dict[str, Any]:
        """Return the options of FOSCAT's `eval` that say how a map is measured."""
        options = {"mask": None if mask is None else self.tensors(np.atleast_2d(mask))}
        if second is not None:
            options["image2"] = self.tensor(second)
        if alignment is not None:
            options |= {"cmat": alignment.first, "cmat2": alignment.second}
        return options | self._patch

    def _reference(self, field: Map, options: dict[str, Any]) -> tuple[Any, Any]:
        with self.at_work():
            return self.operator.eval(self.tensor(field), calc_var=True, **options)

    def tensor(self, field: Map) -> torch.Tensor:
        """Return one map as FOSCAT takes it, [1, p]."""
        return self.tensors(field[None])

    def tensors(self, fields: np.ndarray) -> torch.Tensor:
        """Return an array in the type of FOSCAT's arithmetic."""
        return torch.as_tensor(np.asarray(fields, dtype=self.precision))

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Silence FOSCAT, and hold its geometry to the chosen precision.

        Operators are built by whichever call first needs them, so every call runs inside.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", UserWarning)  # torch, on read-only and sparse arrays
            if self.geometry == "exact":
                stack.enter_context(float64_geometry())
            yield


def _several(mask: Mask | None) -> bool:
    return mask is not None and mask.ndim == 2


def _groups(statistics: Any, several_masks: bool) -> Groups:
    given = {name: getattr(statistics, name.upper()) for name in CROSS_GROUPS}
    arrays = {name: group.numpy()[0] for name, group in given.items() if group is not None}
    return arrays if several_masks else {name: array[0] for name, array in arrays.items()}
