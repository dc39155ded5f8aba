"""A picture as the content of a file, the same for the same input."""

from __future__ import annotations

from io import BytesIO
from typing import Any

__all__ = ["printed"]


def printed(thing: Any, form: str, *, theme: str = "light", **options: Any) -> bytes:
    """Return a picture as a file: no window, no date in it, text of SVG and PDF as shapes.

    Parameters
    ----------
    thing : Architecture or a result
    form : {"svg", "png", "pdf"}
    theme : {"light", "dark"}
    **options
        Those of the picture.

    Examples
    --------
    >>> import fea_arch as fa
    >>> printed(fa.load_sample("shop"), "png")[1:4]
    b'PNG'
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from fea_arch.plotting import draw
    from fea_arch.plotting.architecture import paper_size
    from fea_arch.plotting.view import view

    with matplotlib.rc_context({"svg.hashsalt": "fea_arch", "svg.fonttype": "path"}):
        size = paper_size(view(thing, options.get("result"))) if hasattr(thing, "graph") else (8.0, 4.5)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(thing, ax=figure.add_subplot(), theme=theme, **options)
        data = BytesIO()
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
        figure.savefig(data, format=form, dpi=150, metadata=metadata)
    return data.getvalue()
