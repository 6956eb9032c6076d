import io
import os

import pytest
from matplotlib.figure import Figure

from jaxscat.plotting import as_label, render_figure, write_figure

NAMES = ["t$1_{a$.npy", r"c\$1_{\$", "$", "$$", "map[dust].npy", "a%s{x}_^.npy", "_u.npy"]


def drawn(name):
    figure = Figure()
    figure.suptitle(as_label(name))
    return figure


@pytest.mark.parametrize("name", NAMES)
def test_names_are_drawn_as_they_are(name):
    content = render_figure(drawn(name), "svg").decode()
    # An SVG file has the text of every title beside its outlines.
    assert f"<!-- {name} -->" in content


def test_bytes_that_are_no_text_and_line_breaks_become_question_marks():
    assert as_label("bad\udcff\nname\t.npy") == "bad?" + "?name?.npy"
    assert as_label("étoile 漢字") == "étoile 漢字"
    render_figure(drawn("bad\udcff"), "png")


@pytest.mark.parametrize("layout", ["constrained", None])
def test_a_figure_is_laid_out_as_matplotlib_does_it(layout):
    def draw():
        figure = Figure(layout=layout)
        for axes in figure.subplots(1, 2):
            axes.set_ylabel("a label")
        return figure

    stream = io.BytesIO()
    draw().savefig(stream, format="png")
    figure = draw()
    engine = figure.get_layout_engine()
    assert render_figure(figure, "png") == stream.getvalue()
    assert figure.get_layout_engine() is engine


def test_a_figure_that_cannot_be_drawn_leaves_what_is_there(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("old")
    figure = Figure()
    figure.suptitle("$1_{a$")
    with pytest.raises(ValueError):
        write_figure(path, figure)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_figures_are_written_by_the_one_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="a named pipe"):
        write_figure(tmp_path / "pipe.png", Figure())
    path = tmp_path / "a.pdf"
    path.touch(mode=0o600)
    (tmp_path / "link.pdf").symlink_to(path)
    write_figure(tmp_path / "link.pdf", drawn("a"))
    assert path.read_bytes().startswith(b"%PDF") and path.stat().st_mode & 0o777 == 0o600
