"""The installed FOSCAT as a reference: its statistics, standard errors, loss, gradient, synthesis.

FOSCAT (https://pypi.org/project/foscat) works in float32 inside, whatever precision is asked for:
the geometry of its stencil, its interpolation weights and its downsampling weights are rounded.
`geometry="exact"` switches those places to float64 while an operator is built, so that the
formulas can be compared to rounding; `geometry="foscat"` leaves FOSCAT as it is. The names are
those of `jaxscat.build_pyramid`.

FOSCAT keeps the operators it has built as files, by default in the home directory and under names
that do not know their precision. Here they lie in a folder of each geometry, temporary unless one
is given, so a user's files are neither read nor changed.
"""

import contextlib
import io
import tempfile
import time
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import foscat.scat_cov as scat_cov
import foscat.SphereDownGeo as down_geometry
import foscat.SphericalStencil as stencil_geometry
import foscat.Synthesis as foscat_synthesis
import numpy as np
import torch
from jaxtyping import Float

GROUPS = ("s0", "s1", "s2", "s3", "s4")
Geometry = Literal["exact", "foscat"]
Map = Float[np.ndarray, " p"]
Groups = dict[str, np.ndarray]


@dataclass
class FoscatSynthesis:
    """What a synthesis by FOSCAT has come to.

    Attributes:
        map: the new map, float64.
        losses: at the start and after every iteration.
        evaluation_losses: of every evaluation, line searches included.
        evaluation_seconds: when each evaluation ended, since the start of the run.
        seconds: of the whole run.
    """

    map: Map
    losses: Float[np.ndarray, " steps"]
    evaluation_losses: list[float] = field(default_factory=list)
    evaluation_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Foscat:
    """FOSCAT's HEALPix scattering covariances with a 3 x 3 kernel.

    Args:
        orientations: number of wavelet orientations.
        precision: type of FOSCAT's own arithmetic ("float32" or "float64").
        geometry: "exact" or "foscat", see the module.
        cache: folder for FOSCAT's operator files; None is a temporary one.
    """

    def __init__(
        self,
        orientations: int = 4,
        *,
        precision: str = "float64",
        geometry: Geometry = "foscat",
        cache: Path | None = None,
    ):
        self.precision = precision
        self.geometry = geometry
        if cache is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="foscat-")
            cache = Path(self._temporary.name)
        folder = cache / geometry
        folder.mkdir(parents=True, exist_ok=True)
        with self._at_work():
            self.operator: Any = scat_cov.funct(
                NORIENT=orientations,
                KERNELSZ=3,
                all_type=precision,
                TEMPLATE_PATH=str(folder),
                silent=True,
            )

    def measure(self, field: Map, mask: np.ndarray | None = None) -> Groups:
        """Return S0 to S4 of one map; every group has a leading axis only for masks [M, p]."""
        with self._at_work():
            statistics = self.operator.eval(self._tensor(field), mask=self._masks(mask))
        return _groups(statistics, several_masks=mask is not None and mask.ndim == 2)

    def measure_with_sigma(
        self, field: Map, mask: np.ndarray | None = None
    ) -> tuple[Groups, Groups]:
        """Return S0 to S4 of one map, and FOSCAT's standard errors of them."""
        several = mask is not None and mask.ndim == 2
        mean, sigma = self._reference(field, mask)
        return _groups(mean, several), _groups(sigma, several)

    def seed_loss(self, original: Map, mask: np.ndarray | None = None) -> "SeedLoss":
        """Return the loss of FOSCAT's demonstrations for one original map.

        It is the mean over all coefficients of the squared distance to those of the original, in
        units of their standard errors.
        """
        return SeedLoss(self, *self._reference(original, mask), mask)

    def convolution_matrix(self, nside: int) -> np.ndarray:
        """Return the wavelet as a dense complex matrix [L, npix, npix] (output, input pixel)."""
        with self._at_work():
            columns = self.operator.convol(self._tensors(np.eye(12 * nside**2)))
        return np.moveaxis(columns.numpy(), 0, -1)

    def downsampling_matrix(self, nside: int) -> np.ndarray:
        """Return the step from `nside` to its half as a dense matrix [npix / 4, npix]."""
        with self._at_work():
            columns, _ = self.operator.ud_grade_2(self._tensors(np.eye(12 * nside**2)))
        return columns.numpy().T

    def _reference(self, field: Map, mask: np.ndarray | None) -> tuple[Any, Any]:
        with self._at_work():
            return self.operator.eval(self._tensor(field), mask=self._masks(mask), calc_var=True)

    def _masks(self, mask: np.ndarray | None) -> torch.Tensor | None:
        return None if mask is None else self._tensors(np.atleast_2d(mask))

    def _tensor(self, field: Map) -> torch.Tensor:
        return self._tensors(field[None])

    def _tensors(self, fields: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(fields, dtype=self.precision))

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """Silence FOSCAT, and hold its geometry to the chosen precision.

        Operators are built by whichever call first needs them, so every call runs inside.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", UserWarning)  # torch, on read-only and sparse arrays
            if self.geometry == "exact":
                stack.enter_context(_float64_geometry())
            yield


class SeedLoss:
    """FOSCAT's seed loss with respect to one original; `value_and_grad` uses FOSCAT's own path."""

    def __init__(self, foscat: Foscat, mean: Any, sigma: Any, mask: np.ndarray | None):
        self._foscat = foscat
        self._mask = foscat._masks(mask)
        self._mean = mean
        self._sigma = sigma
        self._record: list[tuple[float, float]] | None = None
        loss = foscat_synthesis.Loss(self._distance, foscat.operator)
        self._loss = loss
        with foscat._at_work():
            self._synthesis: Any = foscat_synthesis.Synthesis([loss])

    def value(self, field: Map) -> float:
        """Return the loss of one map."""
        with self._foscat._at_work():
            return float(self._distance(self._foscat._tensor(field), self._foscat.operator, ()))

    def value_and_grad(self, field: Map) -> tuple[float, Map]:
        """Return the loss of one map and its gradient."""
        with self._foscat._at_work():
            value, gradient = self._synthesis.bk.loss(
                self._foscat._tensor(field), None, self._loss, None
            )
        return float(value), gradient.numpy()[0]

    def synthesize(self, start: Map, iterations: int) -> FoscatSynthesis:
        """Run FOSCAT's synthesis (L-BFGS of SciPy with FOSCAT's settings) from a start map."""
        generator = np.random.get_state()  # FOSCAT seeds NumPy's global generator
        self._record = []
        begin = time.perf_counter()
        with self._foscat._at_work():
            new = self._synthesis.run(
                np.asarray(start, dtype=self._foscat.precision)[None],
                NUM_EPOCHS=iterations,
                EVAL_FREQUENCY=iterations + 1,
            )
        end = time.perf_counter()
        record, self._record = self._record, None
        np.random.set_state(generator)
        return FoscatSynthesis(
            map=np.asarray(new)[0],
            losses=np.array(self._synthesis.get_history()),
            evaluation_losses=[loss for _, loss in record],
            evaluation_seconds=[moment - begin for moment, _ in record],
            seconds=end - begin,
        )

    def _distance(self, fields: torch.Tensor, operator: Any, _: tuple) -> torch.Tensor:
        statistics = operator.eval(fields, mask=self._mask)
        scaled = operator.square((self._mean - statistics) / self._sigma)
        loss = operator.reduce_mean(scaled)
        if self._record is not None:
            self._record.append((time.perf_counter(), float(loss.detach())))
        return loss


def _groups(statistics: Any, several_masks: bool) -> Groups:
    arrays = {name: getattr(statistics, name.upper()).numpy()[0] for name in GROUPS}
    return arrays if several_masks else {name: array[0] for name, array in arrays.items()}


class _Float64NumPy(types.ModuleType):
    """NumPy, except that its float32 is float64."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, "float64" if name == "float32" else name)


@contextlib.contextmanager
def _float64_geometry() -> Iterator[None]:
    """Make the operators that FOSCAT builds in this block float64 throughout.

    Two places round: the stencil's type, which is float32 unless its caller chooses, and the
    downsampling weights, which are cast to NumPy's float32 before they are stored.
    """
    build = stencil_geometry.SphericalStencil.__init__

    def build_in_float64(self: Any, *arguments: Any, **options: Any) -> None:
        build(self, *arguments, **{"dtype": torch.float64, **options})

    with (
        mock.patch.object(stencil_geometry.SphericalStencil, "__init__", build_in_float64),
        mock.patch.object(down_geometry, "np", _Float64NumPy("numpy")),
    ):
        yield
