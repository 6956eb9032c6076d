"""The sections of a config that say which map is read and how it is measured and synthesized."""

from __future__ import annotations

from math import inf
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from jaxscat.minimization.lbfgs import MOST_CORRECTIONS
from jaxscat.run.config_types import (
    BadData,
    Column,
    FileName,
    Nside,
    Section,
    Seeds,
    Select,
    Source,
    Threshold,
)


class DataConfig(Section):
    """The original, or the data: a dataset by name or a file by path, not both."""

    dataset: str | None = None
    """Name of a map that jaxscat knows, of those that `jaxscat datasets` lists."""
    path: FileName | None = None
    """HEALPix FITS file, `.npy` file, zarr store or netCDF file with the map."""
    nside: Nside | None = None
    """Resolution to work at, at most that of the file, whose pixels are averaged. Unset, that of
    the file."""
    order: Literal["RING", "NESTED"] | None = None
    """Order of the pixels in a file that does not state it, such as `.npy`."""
    field: Column = None
    """Column or variable of the file that is the map, or a Stokes parameter I, Q or U. Unset, the
    first."""
    hdu: Column = None
    """Table of a FITS file; the first extension is 1. Unset, the only one that holds maps."""
    unit: str | None = None
    """Unit to convert the map to, among K, mK and uK or among K_CMB, mK_CMB and uK_CMB. Unset, that
    of the file."""
    unseen: Literal["refuse", "mask"] = "refuse"
    """Whether a map with pixels without data (UNSEEN, NaN, ...) is refused, or these pixels get
    weight zero."""
    bad_data: BadData | None = None
    """A further value that marks pixels without data, such as -9999; `nan` allows NaN beside other
    marks."""
    zero_hits: Literal["data", "bad"] = "data"
    """Whether pixels with zero in the column of hits (HITS, N_OBS, ...) have data, or are bad."""
    select: Select = None
    """Place on every further dimension of a zarr or netCDF variable: a number from 0, or a
    coordinate."""
    transform: Literal["none", "standardise", "exp", "log"] = "none"
    """What is done with the values first: "standardise" subtracts the mean and divides by the
    standard deviation, "exp" takes the exponential of that. With "log" new maps are made from the
    logarithm of a positive map and taken back: they are positive and in its unit."""


class PyramidConfig(Section):
    """The wavelets and their scales (see `build_pyramid`)."""

    orientations: int = Field(default=4, ge=1)
    """Number of orientations of the wavelets in half a turn."""
    kernel_size: Literal[3, 5, 7] = 3
    """Side of the kernel of a wavelet, in pixels. 5 and 7 work on a grid of twice the
    nside."""
    scales: int | None = Field(default=None, ge=1)
    """Number of scales, each half the nside of the one before. Unset, all of them."""
    geometry: Literal["exact", "foscat"] = "exact"
    """Whether positions on the sphere are computed in float64, or rounded as FOSCAT does."""


class TargetConfig(Section):
    """The target statistics, their uncertainties, and how maps are measured (see `make_target`)."""

    sigma: Literal["pixels", "foscat"] = "pixels"
    """Uncertainty by which each coefficient is divided in the loss: its standard error from the
    scatter of the pixels, or FOSCAT's formula."""
    sigma_floor: float = Field(default=0.01, ge=0, lt=1)
    """Least uncertainty of a coefficient, as a fraction of the root mean square of those of the
    same kind and scale."""
    coarsest_nside: Nside | None = None
    """Coarsest grid of which S3 and S4 count; what lies on coarser ones would make new maps copies
    of the original. Unset, 8, or the finest grid where that is coarser."""
    weights: Literal["balanced", "plain"] = "balanced"
    """Whether S1, S2, S3 and S4 have fixed shares of the loss, or every coefficient counts
    alike."""
    mask: FileName | None = None
    """Map of weights from 0 (ignored) up."""
    mask_order: Literal["RING", "NESTED"] | None = None
    """Order of the pixels in a mask file that does not state it. Unset, `data.order`."""
    mask_field: Column = None
    """Column or variable of the mask. Unset, the only one."""
    mask_hdu: Column = None
    """Table of the FITS file of the mask. Unset, the only one that holds maps."""
    mask_threshold: Threshold | None = None
    """Pixels of coarser scales with no more weight than this are ignored. Unset, none are."""
    hidden: Literal["exclude", "include", "interior", "patch"] = "exclude"
    """What becomes of pixels without data or weight: "exclude" keeps them out, "patch" does so with
    wavelets of the other pixels alone, "interior" leaves out all that they disturb, "include" reads
    what stands there."""
    normalization: Literal["none", "target", "own"] = "none"
    """Whether coefficients are divided by the wavelet power of the original ("target") or of each
    map itself ("own")."""
    reduction: Literal["none", "isotropic", "harmonics"] = "none"
    """How orientations are combined: kept, averaged over all rotations ("isotropic"), or expanded
    in angular harmonics."""
    harmonics: int | None = Field(default=None, ge=1)
    """Number of angular harmonics with `reduction = "harmonics"`. Unset, one."""
    second: Source | None = None
    """A second map, with which every map is measured together; it is read and transformed as the
    original is."""
    second_order: Literal["RING", "NESTED"] | None = None
    """Order of the pixels in a second file that does not state it. Unset, `data.order`."""
    second_field: Column = None
    """Column or variable of the second map. Unset, that of the original."""
    second_hdu: Column = None
    """Table of the FITS file of the second map. Unset, that of the original."""
    alignment: Literal["none", "target"] = "none"
    """Whether orientations are counted from those that dominate the original."""

    @model_validator(mode="before")
    @classmethod
    def _one_harmonic(cls, entries: Any) -> Any:
        if isinstance(entries, dict) and entries.get("reduction") == "harmonics":
            return {"harmonics": 1} | entries
        return entries

    @model_validator(mode="after")
    def _harmonics_of_a_reduction(self) -> TargetConfig:
        if self.harmonics is not None and self.reduction != "harmonics":
            raise ValueError("target.harmonics only with target.reduction = 'harmonics'")
        return self


class SynthesisConfig(Section):
    """The synthesis of new maps (see `synthesize_many`): one map per seed."""

    seeds: Seeds = (1234,)
    """Seeds of the starts: every seed makes another new map."""
    start: Literal["gaussian_noise", "white_noise", "reference_noise"] = "gaussian_noise"
    """Map from which a synthesis starts: a Gaussian one with the original's power spectrum, white
    noise, or white noise as FOSCAT's demonstration with the map `lss` draws it."""
    batch_size: int | None = Field(default=None, ge=1)
    """Number of maps that are changed at once. Unset, as many as memory holds, at most 8 on a
    CPU."""
    max_steps: int = Field(default=300, ge=1)
    """Number of steps of the minimization after which it ends."""
    max_evaluations: int | None = Field(default=None, ge=1)
    """Number of evaluations of the loss after which it ends. Unset, there is no such limit."""
    stagnation: float | None = Field(default=None, ge=0, lt=1)
    """It ends once 25 steps have lowered the loss by less than this fraction. Unset, it does
    not."""
    memory: int = Field(default=50, ge=1, le=MOST_CORRECTIONS)
    """Number of former steps from which L-BFGS estimates the curvature."""
    form: Literal["pixels", "harmonic"] = "pixels"
    """Whether the pixels are changed, or a field that is filtered to the original's power spectrum,
    which every new map then has."""
    first_nside: Nside | None = None
    """Nside at which maps are made first, to be refined from one nside to the next; limits hold for
    each. Unset, they are made at the full nside alone."""
    gaussianize: bool = False
    """Whether maps are made from the original with a Gaussian histogram, which is taken back from
    every new map: its tails are then near the original's, its power spectrum less so."""
    hidden_part: Literal["unseen", "free"] = "unseen"
    """What new maps hold in hidden pixels: no data (UNSEEN), or with "free" what the synthesis
    leaves there, which is the Gaussian start and has no texture."""

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds that differ from one another")
        return seeds


class CheckpointConfig(Section):
    """The intervals at which a run keeps its state; 0 is never."""

    every_steps: int = Field(default=0, ge=0)
    """Number of steps after which a run keeps its state; 0 is never."""
    every_minutes: float = Field(default=5.0, ge=0, lt=inf)
    """Minutes after which a run keeps its state; 0 is never."""


class RunConfig(Section):
    """The name of the run, and the platform and the precision of its computations."""

    # No default here: `load_config` takes the file's own name.
    name: str = Field(default="run", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    """Name of the run, and of its folder in `runs`. Unset, that of the config file or of the
    map."""
    precision: Literal["float32", "float64"] = "float32"
    """Precision of the computations."""
    platform: Literal["default", "cpu", "gpu", "tpu"] = "default"
    """Where they are done. "default" takes an accelerator if there is one."""
    pyramid_cache: bool = False
    """Whether wavelets are kept in the user's cache folder, and loaded from there."""
