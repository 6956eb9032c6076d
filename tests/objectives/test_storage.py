import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.io.archive import write_archive
from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.scattering import map_loss
from jaxscat.objectives.storage import load_target, save_target
from jaxscat.statistics.alignment import align_orientations
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.reduction import Reduction
from jaxscat.statistics.storage import save_statistics

ONE, OTHER, THIRD = np.random.default_rng(0).gamma(2.0, size=(3, 192))
MASK = np.where(np.arange(192) < 150, 1.0, 0.0)
CASES = {
    "one map": {},
    "a mask": {"mask": MASK, "mask_threshold": 0.1, "weights": "plain"},
    "several masks": {"mask": np.stack([np.ones(192), MASK]), "hidden": "include"},
    "two maps": {"second": 1e4 + OTHER, "both_triangles": True, "normalization": "own"},
    "given powers": {
        "second": OTHER,
        "normalization": (np.full((3, 3), 2.0), np.full((3, 3), 3.0)),
        "reduction": FourierHarmonics(1, imaginary=False),
    },
    "isotropic": {"reduction": IsotropicMean("foscat"), "coarsest_nside": 1},
    "aligned": {"alignment": True},
}


class Sums(Reduction):
    def mean_of_group(self, name, group):
        return group.sum(-1)

    sigma_of_group = mean_of_group

    def labels(self, orientations):
        return [{}]


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(4, orientations=3)


@pytest.fixture(scope="module")
def targets(pyramid):
    made = {}

    def of_case(case):
        if case not in made:
            choices = dict(CASES[case])
            if choices.get("alignment"):
                choices["alignment"] = align_orientations(ONE, pyramid)
            made[case] = make_target(ONE, pyramid, **choices)
        return made[case]

    return of_case


@pytest.fixture
def path(tmp_path, targets, pyramid):
    save_target(tmp_path / "target.npz", targets("one map"), pyramid.spec)
    return tmp_path / "target.npz"


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("case", CASES)
def test_a_target_comes_back_to_the_last_bit(tmp_path, pyramid, targets, case):
    target = targets(case)
    save_target(tmp_path / "target.npz", target, pyramid.spec)
    loaded = load_target(tmp_path / "target.npz", pyramid.spec)
    assert_same(loaded, target)
    if case in ("one map", "isotropic"):
        assert float(map_loss(THIRD, pyramid, loaded)) == float(map_loss(THIRD, pyramid, target))
    assert [file.name for file in tmp_path.iterdir()] == ["target.npz"]


def test_double_precision_is_kept_in_32_bit_mode(path, targets):
    with jax.enable_x64(False):
        loaded = load_target(path)
        assert loaded.mean.s1.dtype == np.float64
    assert_same(jax.tree.map(jnp.asarray, loaded), targets("one map"))


def test_another_pyramid_is_refused_with_both_values(path, pyramids):
    other = pyramids(4, orientations=3, geometry="foscat").spec
    with pytest.raises(ValueError, match=r"geometry 'exact'.*; expected geometry 'foscat'"):
        load_target(path, other)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_truncated_files_are_refused(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match="^path: got .*target.npz, which is no whole target file"):
        load_target(path)


def test_flipped_bits_are_noticed(path, targets):
    content = path.read_bytes()
    generator, refused = np.random.default_rng(0), 0
    for place in generator.integers(0, len(content), 60):
        changed = bytearray(content)
        changed[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(changed)
        try:
            found = load_target(path)
        except ValueError as error:
            assert str(error).startswith(f"path: got {path}")
            refused += 1
        else:
            assert_same(found, targets("one map"))  # bits that mean nothing, such as the date
    assert refused > 30


def test_writing_that_fails_leaves_the_old_file_and_nothing_else(
    path, targets, pyramid, monkeypatch
):
    before = path.read_bytes()

    def fail(file, **_):
        file.write(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        save_target(path, targets("a mask"), pyramid.spec)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


CHANGES = {
    "no spec": lambda header, _: header.pop("spec"),
    "other scales": lambda header, _: header["spec"].update(scales=2),
    "other nside": lambda header, _: header["spec"].update(nside=8, orientations=4),
    "other kind": lambda header, _: header.update(kind="cross"),
    "both triangles": lambda header, _: header.update(both_triangles=True),
    "triangles are a number": lambda header, _: header.update(both_triangles=0),
    "unknown weights": lambda header, _: header.update(weights="even"),
    "unknown hidden": lambda header, _: header.update(hidden="patch"),
    "unknown reduction": lambda header, _: header.update(reduction={"name": "Sums"}),
    "another reduction": lambda header, _: header.update(reduction={"name": "IsotropicMean"}),
    "aligned": lambda header, _: header.update(aligned=3),
    "no S4": lambda _, arrays: arrays.pop("mean_s4"),
    "no sigma": lambda _, arrays: arrays.pop("sigma_s2"),
    "zero sigma": lambda _, arrays: arrays.update(sigma_s2=0 * arrays["sigma_s2"]),
    "complex sigma": lambda _, arrays: arrays.update(sigma_s2=1j + arrays["sigma_s2"]),
    "real S4": lambda _, arrays: arrays.update(mean_s4=arrays["mean_s4"].real),
    "a second map": lambda _, arrays: arrays.update(second=np.ones(192)),
    "a mask of other pixels": lambda _, arrays: arrays.update(mask=np.ones(48)),
    "a group too many": lambda _, arrays: arrays.update(mean_s5=np.ones(3)),
    "an array too many": lambda _, arrays: arrays.update(other=np.ones(3)),
    "S3 of another shape": lambda _, arrays: arrays.update(mean_s3=arrays["mean_s3"][:-1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_fit_is_refused_though_its_checksum_is_right(path, change):
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header")))
    rest = {name: header[name] for name in header if name not in ("content", "format", "sha256")}
    write_archive(path, "target", 1, rest, arrays)
    load_target(path)
    CHANGES[change](rest, arrays)
    write_archive(path, "target", 1, rest, arrays)
    with pytest.raises(ValueError, match="^path: got .*target.npz, whose header and arrays do not"):
        load_target(path)


def test_what_cannot_be_stored_is_refused_and_nothing_is_written(tmp_path, pyramid, targets):
    target, spec = targets("one map"), pyramid.spec
    own = make_target(ONE, pyramid, reduction=Sums())
    for arguments, message in (
        ((own, spec), "target: got the reduction Sums, which a file cannot hold, expected one"),
        ((target.mean, spec), "target: got ScatteringCovariance, expected a Target; .*from_stat"),
        ((target, pyramid), "spec: got Pyramid, expected the spec of a pyramid, pyramid.spec"),
        ((targets("isotropic"), pyramid.finest(2).spec), "target: got S1 of shape"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            save_target(tmp_path / "target.npz", *arguments)
    with pytest.raises(ValueError, match="^path: got .*, expected a name that ends in .npz"):
        save_target(tmp_path / "target.h5", target, spec)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match=r"none.npz, which is no file, expected a target"):
        load_target(tmp_path / "none.npz")


def test_files_of_coefficients_are_no_targets(tmp_path, pyramid, targets):
    statistics = targets("one map").mean
    save_statistics(tmp_path / "s.npz", statistics, pyramid.spec)
    with pytest.raises(ValueError, match="a scattering covariance file, expected a target file"):
        load_target(tmp_path / "s.npz")
