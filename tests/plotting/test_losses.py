"""The history of a loss with several terms."""

import numpy as np

from jaxscat.plotting.curve_panels import draw_losses


def test_terms_of_a_loss_are_drawn_if_there_are_several():
    from matplotlib.figure import Figure

    losses = [np.array([3.0, 2.0, 1.0]), np.array([3.0, 1.5])]
    terms = [{"a": losses[0] / 2, "b": losses[0] / 4}, {"a": losses[1] / 2, "b": losses[1] / 4}]
    axis = Figure().subplots()
    draw_losses(axis, losses, terms)
    assert len(axis.lines) == 6
    np.testing.assert_array_equal(axis.lines[2].get_ydata(), terms[0]["a"])
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b"]
    assert axis.get_ylabel() == "loss (solid) and its terms"
    alone = Figure().subplots()
    draw_losses(alone, losses, [{"scattering": one} for one in losses])
    assert len(alone.lines) == 2 and alone.get_legend() is None
    assert "sigma" in alone.get_ylabel()
