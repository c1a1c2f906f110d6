"""What the tests of figures share: made-up schemas, figures as files and as drawings, and what is on these."""

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from swatchbook.report.figure import RC, draw
from swatchbook.schema import Attribute, Schema


def made_up_schema(names: dict[str, tuple[str, ...]]) -> Schema:
    made = [
        Attribute(
            name, dict.fromkeys(classes, "words"), ("a {}",), "folder" if k == 0 else "zero_shot", 0.3, ""
        )
        for k, (name, classes) in enumerate(names.items())
    ]
    return Schema("made up", tuple(made))


HOSTILE = made_up_schema(
    {
        "$m_a$": ("<b>", "$x$", "_"),
        "color": ("red", "blue", "white"),
        "<i>&": ("\\alpha", 'a"b', "50 %"),
    }
)


def files_of(drawer, table, folder, schema=HOSTILE, **arguments) -> dict[str, bytes]:
    """A figure's files by suffix."""
    for suffix, writer in draw(drawer, table, schema, **arguments):
        writer(folder / f"figure{suffix}")
    return {path.suffix: path.read_bytes() for path in sorted(folder.glob("figure.*"))}


def drawn(drawer, table, schema=HOSTILE, **arguments):
    """The drawing, laid out and rendered, its alt text and its data."""
    with mpl.rc_context(RC):
        figure = drawer(table, schema, **arguments)
        FigureCanvasAgg(figure.drawing).draw()
    return figure


def marks_on(drawing) -> np.ndarray:
    """Coordinates of every mark of every panel, outside keys."""
    lines = [line for axes in drawing.get_axes() for line in axes.get_lines() if line.get_marker() != "None"]
    return np.concatenate([np.ravel([line.get_xdata(), line.get_ydata()]).astype(float) for line in lines])


def texts_on(drawing) -> list[str]:
    return [text.get_text() for text in drawing.findobj(mpl.text.Text) if text.get_text()]


def check_words(figure) -> None:
    """Titles begin with a capital, alt texts are sentences, and no name is read as markup."""
    titles = [
        figure.drawing.texts[0].get_text(),
        *(a.get_title(loc="left") for a in figure.drawing.get_axes()),
    ]
    for text in [*titles, figure.alt]:
        assert not text[:1].islower(), text
    assert figure.alt.endswith(".")
    shown = [text for text in figure.drawing.findobj(mpl.text.Text) if text.get_text().strip()]
    assert not any(text.get_parse_math() for text in shown)
    everything = " ".join([figure.alt, *texts_on(figure.drawing)])
    assert "nan" not in everything.lower()
    assert "-0" not in everything and "−0.0 " not in everything
