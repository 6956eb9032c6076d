import io

import numpy as np

from jaxscat.plotting.layout import new_figure


def test_places_are_rounded():
    figure = new_figure(7.0, 5.0)
    figure.suptitle("two parts")
    parts = figure.subfigures(2, 1, height_ratios=[1.0, 1.7])
    for part in parts:
        for axes in part.subplots(1, 3):
            axes.set_ylabel("value")
            part.colorbar(axes.imshow(np.eye(7)), ax=axes)
    before = [axes.get_position(original=True).bounds for axes in figure.axes]
    figure.savefig(io.BytesIO(), format="png")
    boxes = [axes.get_position(original=True).bounds for axes in figure.axes]
    assert not np.allclose(boxes, before, atol=0.01)
    boxes += [part.bbox_relative.bounds for part in parts]
    np.testing.assert_allclose(boxes, np.round(boxes, 9), rtol=0, atol=1e-14)
    assert all(axes.get_in_layout() for axes in figure.axes)
