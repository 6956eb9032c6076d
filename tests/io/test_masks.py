"""Combining of masks."""

import numpy as np
import pytest

from jaxscat.io.masks import joint_coverage, joint_mask

COVERAGE = np.array([0.0, 0.25, 0.5, 1.0])


def test_what_several_maps_lack_alike_counts_once():
    joint = None
    for number in range(3):
        joint = joint_coverage(joint, COVERAGE, f"maps[{number}]")
    np.testing.assert_array_equal(joint, COVERAGE)
    other = np.array([1.0, 0.5, 0.25, 1.0])
    np.testing.assert_array_equal(joint_coverage(joint, other, "other"), [0.0, 0.25, 0.25, 1.0])


def test_weights_are_multiplied():
    np.testing.assert_array_equal(joint_mask(COVERAGE, COVERAGE, "mask"), COVERAGE**2)
    assert joint_mask(None, None, "mask") is None and joint_coverage(None, None, "mask") is None


@pytest.mark.parametrize("join", [joint_coverage, joint_mask])
def test_masks_without_a_common_pixel_are_refused(join):
    with pytest.raises(ValueError, match="^second: got no pixel with data that has weight"):
        join(np.array([1.0, 0.0]), np.array([0.0, 1.0]), "second")
