"""Set-ups of the comparison with FOSCAT, and the maps for them."""

from dataclasses import dataclass
from typing import Literal, get_args

import healpy
import numpy as np
from jaxtyping import Float, Int

from experiments.foscat_reference.conventions import Map
from jaxscat import reference_noise

SEED = 1234
THRESHOLD = 0.4
# A disc across the equator with a third of the sky in it. Without rounding FOSCAT loses stencil
# points whose only neighbour in the patch has weight zero; they are at the poles, far from it.
DISC_CENTRE, DISC_RADIUS = (1.5, 2.0), 1.25

Treatment = Literal["isotropic mean", "harmonics", "spread", "normalized"]
TREATMENTS: tuple[Treatment, ...] = get_args(Treatment)


@dataclass(frozen=True)
class Case:
    """One set-up in which both packages measure the same map.

    Attributes:
        nside: resolution of the map.
        orientations: number of wavelet orientations.
        kernel_size: points on a side of the wavelet kernel.
        masks: whether there are two masks.
        threshold: whether weights up to `THRESHOLD` count as zero once a mask is downsampled.
        cross: whether there is a second map.
        patch: whether the map is a part of the sky.
        aligned: whether orientations are counted from the dominant one of every pixel.
        treatment: what is done with the coefficients.
        loss: whether loss and gradient are compared too.
        rounded: whether both packages are also compared with geometry rounded to float32.
    """

    nside: int
    orientations: int = 4
    kernel_size: int = 3
    masks: bool = False
    threshold: bool = False
    cross: bool = False
    patch: bool = False
    aligned: bool = False
    treatment: Treatment | None = None
    loss: bool = True
    rounded: bool = True

    @property
    def name(self) -> str:
        """The set-up as the table shows it, without what is usual."""
        features = {
            "cross" if self.cross else "auto": True,
            "two masks": self.masks,
            "threshold": self.threshold,
            "patch": self.patch,
            "aligned": self.aligned,
            f"{self.treatment}": self.treatment is not None,
            f"L={self.orientations}": self.orientations != 4,
            f"K={self.kernel_size}": self.kernel_size != 3,
            f"nside {self.nside}": True,
        }
        return ", ".join(feature for feature, there in features.items() if there)

    @property
    def wavelets(self) -> tuple[int, int, int]:
        """The key of the operators: nside, orientations and side of the kernel."""
        return self.nside, self.orientations, self.kernel_size

    @property
    def mask_threshold(self) -> float | None:
        """The threshold of the masks; None without one."""
        return THRESHOLD if self.threshold else None


@dataclass(frozen=True)
class Inputs:
    """The maps of one case; those of a patch hold its pixels only.

    Attributes:
        original: the map that is measured.
        start: where loss and gradient are taken.
        second: the second map of a cross case.
        mask: two masks.
        guide: the map whose orientations are aligned; None is the original.
        cell_ids: pixels of a patch.
    """

    original: Map
    start: Map
    second: Map | None = None
    mask: Float[np.ndarray, "2 p"] | None = None
    guide: Map | None = None
    cell_ids: Int[np.ndarray, " p"] | None = None

    @property
    def alignment_guide(self) -> Map:
        """The map whose orientations are aligned."""
        return self.original if self.guide is None else self.guide


QUICK_CASES = (
    Case(4),
    Case(4, masks=True, loss=False, rounded=False),
    Case(4, masks=True, threshold=True, loss=False, rounded=False),
    Case(4, cross=True, rounded=False),
    Case(2, kernel_size=5, loss=False, rounded=False),
    Case(2, kernel_size=7, orientations=1, loss=False, rounded=False),
    Case(4, orientations=1, loss=False, rounded=False),
    Case(4, orientations=8, loss=False, rounded=False),
    Case(4, patch=True, loss=False, rounded=False),
    Case(4, aligned=True, loss=False, rounded=False),
    *(
        Case(4, orientations=8, treatment=treatment, loss=False, rounded=False)
        for treatment in TREATMENTS
    ),
)
CASES = (
    *(Case(nside) for nside in (8, 16, 32)),
    *(Case(8, orientations=orientations, loss=False) for orientations in (1, 2)),
    Case(8, orientations=8),
    *(Case(nside, masks=True) for nside in (8, 16, 32)),
    Case(8, masks=True, threshold=True),
    Case(16, masks=True, threshold=True, loss=False),
    *(Case(nside, cross=True) for nside in (8, 16, 32)),
    Case(8, cross=True, masks=True, loss=False),
    *(Case(nside, kernel_size=5) for nside in (8, 16)),
    Case(4, kernel_size=7),
    Case(8, kernel_size=7, loss=False),
    Case(8, cross=True, masks=True, threshold=True, kernel_size=5, orientations=2, loss=False),
    *(Case(nside, patch=True) for nside in (8, 16)),
    Case(32, patch=True, loss=False),
    Case(16, patch=True, cross=True, masks=True, loss=False),
    *(Case(nside, aligned=True) for nside in (8, 16)),
    Case(8, aligned=True, cross=True, masks=True, loss=False),
    Case(8, aligned=True, kernel_size=5, loss=False),
    *(
        Case(8, orientations=orientations, treatment=treatment, loss=False)
        for orientations in (4, 8)
        for treatment in TREATMENTS
    ),
    *(Case(8, cross=True, masks=True, treatment=treatment, loss=False) for treatment in TREATMENTS),
)


def two_masks(nside: int) -> Float[np.ndarray, "2 p"]:
    """Return two masks [2, p]: a cap of ones, and weights that fall to zero across the sky."""
    x, _, z = healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True)
    return np.stack([z > 0.3, np.clip(0.6 - x + 0.5 * z, 0.0, 1.0)]).astype(float)


def disc(nside: int) -> Int[np.ndarray, " p"]:
    """Return the pixels of a patch of the sky, NESTED and ascending."""
    centre = healpy.ang2vec(*DISC_CENTRE)
    return np.sort(healpy.query_disc(nside, centre, DISC_RADIUS, nest=True))


def make_inputs(case: Case, original: Map) -> Inputs:
    """Return the maps of a case made from one full-sky map.

    The second map is a noisy copy of the first.
    """
    # Maps are rounded to float32 first, as the demonstrations of FOSCAT do.
    original = original.astype(np.float32).astype(np.float64)
    start, noise = (reference_noise(original, seed).astype(np.float64) for seed in (SEED, SEED + 1))
    cells = disc(case.nside) if case.patch else np.arange(original.size)
    return Inputs(
        original=original[cells],
        start=start[cells],
        second=(original + noise)[cells] / 2 if case.cross else None,
        mask=two_masks(case.nside)[:, cells] if case.masks else None,
        cell_ids=cells if case.patch else None,
    )


def patch_scales(nside: int, cells: int) -> int:
    """Return the number of scales that FOSCAT takes for a patch."""
    return min(nside.bit_length(), int(np.log(cells) / np.log(4)) - 1)
