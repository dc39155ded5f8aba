"""Every picture draws in both themes, keeps its labels apart, and looks like the picture that was looked at."""

from __future__ import annotations

import io
import os
from importlib import import_module
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from shared_data import data_path, needs_data

import fea_arch as fa
from fea_arch.plotting import DRAWN_BY, draw

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BASELINES = Path(__file__).resolve().parents[1] / "fixtures" / "pictures"
#: Width of a stored picture [px]: small, so that fonts and versions of matplotlib hardly matter.
WIDTH = 120
#: Largest root mean square of the difference of two pictures, of a range of 1.
TOLERANCE = 0.045


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def retries() -> fa.Architecture:
    return fa.Architecture(
        name="retries",
        components=[
            fa.Component("client", service_time_s=1e-6, law="delay", blocking=False),
            fa.Component("api", service_time_s=0.1, blocking=False),
        ],
        dependencies=[fa.Dependency("client", "api", timeout_s=1.0, retries=3)],
        loads=[fa.Load("client", rate_per_s=4.0)],
    )


@pytest.fixture(scope="module")
def shop() -> fa.Architecture:
    return fa.load_sample("shop")


@pytest.fixture(scope="module")
def runbook() -> fa.Architecture:
    return fa.load_sample("runbook")


@pytest.fixture(scope="module")
def loaded(runbook):
    return fa.static(runbook)


def bars(n: int = 13) -> fa.Mesh:
    ends = np.array([(i, i + 1) for i in range(n - 1)])
    return fa.Mesh.from_bars(n, ends, np.ones(n - 1), mass=np.ones(n), supports=(0,))


def force(n: int, at: int) -> np.ndarray:
    f = np.zeros(n)
    f[at] = 1.0
    return f


def pictures(shop, runbook, loaded) -> dict[str, tuple]:
    """Name -> (thing, options) of every picture whose numbers do not depend on the machine."""
    small = fa.static(shop)
    return {
        "architecture": (runbook, {}),
        "loaded": (loaded, {"arch": runbook}),
        "stress": (loaded, {}),
        "deformed": (loaded, {"arch": runbook, "kind": "deformed"}),
        "load_path": (loaded, {"arch": runbook, "kind": "load path"}),
        "influence": (loaded, {"arch": runbook, "kind": "influence", "at": "ollama"}),
        "overloaded": (fa.static(shop.scaled(9.0)), {"arch": shop}),
        "small": (small, {"arch": shop}),
        "contingency": (fa.contingency(shop), {}),
        "metastability": (fa.metastability(retries()), {}),
        "score": (fa.score(shop), {}),
        "displacement": (fa.solve(bars(), force(13, 12)), {}),
        "modes": (fa.eigen(bars(), modes=3), {}),
        "modal": (fa.modal(shop, modes=3), {"arch": shop}),
    }


NAMES = [
    "architecture", "loaded", "stress", "deformed", "load_path", "influence", "overloaded", "small", "contingency",
    "metastability", "score", "displacement", "modes", "modal",
]  # fmt: skip


@pytest.fixture(scope="module")
def things(shop, runbook, loaded):
    return pictures(shop, runbook, loaded)


def grey(ax, width: int = WIDTH) -> np.ndarray:
    """Return the picture in shades of grey, the mean of blocks of pixels, (height, width) float64 between 0 and 1."""
    data = io.BytesIO()
    ax.figure.savefig(data, format="png", dpi=60)
    data.seek(0)
    rgb = plt.imread(data, format="png")[:, :, :3]
    return shrunk(rgb @ np.array([0.299, 0.587, 0.114]), width)


def shrunk(image: np.ndarray, width: int) -> np.ndarray:
    height = round(width * image.shape[0] / image.shape[1])
    rows = np.linspace(0, image.shape[0], height + 1).astype(int)
    columns = np.linspace(0, image.shape[1], width + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(image, rows[:-1], axis=0), columns[:-1], axis=1)
    return sums / np.outer(np.diff(rows), np.diff(columns))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the root mean square difference at the best of a few shifts; 1 if the proportions differ.

    Versions of matplotlib and of fonts move things by a pixel or two of these small pictures; a blur and shifts take
    that out.
    """
    if abs(a.shape[0] - b.shape[0]) > 0.12 * b.shape[0]:
        return 1.0
    rows = np.minimum((np.arange(b.shape[0]) + 0.5) * a.shape[0] / b.shape[0], a.shape[0] - 1).astype(int)
    one, two = blurred(a[rows]), blurred(b)
    inner = two[3:-3, 3:-3]
    shifts = [(i, j) for i in range(7) for j in range(7)]
    height, width = inner.shape
    return min(float(np.sqrt(np.mean((one[i : i + height, j : j + width] - inner) ** 2))) for i, j in shifts)


def blurred(image: np.ndarray) -> np.ndarray:
    wide = np.pad(image.astype(float), 1, mode="edge")
    n, m = image.shape
    return sum(wide[i : i + n, j : j + m] for i in range(3) for j in range(3)) / 9


@pytest.mark.parametrize("name", NAMES)
def test_looks_like_the_stored_picture(name, things):
    """Set FEA_ARCH_NEW_PICTURES=1 to store what is drawn now, then look at it."""
    thing, options = things[name]
    found = grey(thing.plot(theme="light", **options))
    path = BASELINES / f"{name}.png"
    if os.environ.get("FEA_ARCH_NEW_PICTURES"):
        plt.imsave(path, found, cmap="gray", vmin=0, vmax=1)
    stored = plt.imread(path)[:, :, 0]
    assert difference(found, stored) < TOLERANCE


def test_the_comparison_notices_another_picture(things):
    stored = {name: plt.imread(BASELINES / f"{name}.png")[:, :, 0] for name in NAMES}
    for name in ("stress", "contingency", "metastability", "deformed"):
        others = [difference(stored[name], stored[other]) for other in NAMES if other != name]
        assert min(others) > TOLERANCE, name


@pytest.mark.parametrize("name", ["loaded", "stress", "deformed", "metastability", "score", "modes"])
def test_dark_theme_is_dark_and_svg_is_written(name, things):
    thing, options = things[name]
    ax = thing.plot(theme="dark", **options)
    assert grey(ax).mean() < 0.35
    data = io.BytesIO()
    ax.figure.savefig(data, format="svg")
    assert b"<svg" in data.getvalue()


@pytest.mark.parametrize("name", ["loaded", "architecture", "small", "load_path"])
def test_labels_of_components_do_not_overlap(name, things):
    thing, options = things[name]
    assert clashes(thing.plot(**options)) == []


@pytest.mark.parametrize("name", NAMES)
def test_titles_and_legends_are_whole_and_cover_no_data(name, things):
    thing, options = things[name]
    ax = thing.plot(**options)
    ax.figure.canvas.draw()
    paper = ax.figure.bbox
    inside = ax.get_window_extent()
    title = ax._left_title
    assert title.get_text()
    parts = [title, *(label for label in (ax.xaxis.label, ax.yaxis.label) if label.get_text())]
    parts += [ax.get_legend()] if ax.get_legend() else []
    for part in parts:
        box = part.get_window_extent()
        assert box.x0 > paper.x0 - 1, part
        assert box.x1 < paper.x1 + 1, part
        assert box.y0 > paper.y0 - 1, part
        assert box.y1 < paper.y1 + 1, part
    if ax.get_legend():
        legend = ax.get_legend().get_window_extent()
        assert legend.y0 >= inside.y1 - 3 or legend.y1 <= inside.y0 + 3


def test_a_sweep_is_drawn_as_curves_or_as_a_map(shop):
    one = fa.sweep(shop, {"orders.servers": [1, 2, 4]}).plot()
    assert one.get_ylabel() == "mean response [ms]"
    few = fa.sweep(shop, {"orders.service_time_s": [0.01, 0.02, 2.0], "orders.servers": [1, 2]}).plot()
    assert len(few.get_lines()) == 2
    assert "designs do not stand" in few.get_title(loc="left").replace("\n", " ")
    many = fa.sweep(shop, {"orders.service_time_s": [0.01, 0.02], "orders.servers": list(range(1, 8))})
    assert many.plot(quantity="worst_utilisation", theme="dark").collections
    with pytest.raises(fa.ModelError, match="percentile_s"):
        many.plot(quantity="percentile")


def test_no_retries_no_curve_but_a_reason(shop):
    ax = fa.metastability(shop).plot()
    assert any("No call is retried" in t.get_text() for t in ax.texts)


@needs_data
def test_a_large_graph_is_drawn_in_groups_that_can_be_read():
    arch = fa.read(data_path("jaeger-fixtures", "dependencies-large.json"))
    ax = arch.plot()
    drawn = [t for t in ax.texts if t.get_text()]
    assert len(arch) > 1000
    assert 20 <= len(drawn) <= 60
    assert clashes(ax) == []
    assert "groups" in ax.get_xlabel()


def clashes(ax) -> list[tuple[str, str]]:
    ax.figure.canvas.draw()
    boxes = [(t.get_text(), t.get_window_extent()) for t in ax.texts if t.get_text()]
    assert boxes
    return [
        (a, b)
        for i, (a, one) in enumerate(boxes)
        for b, two in boxes[:i]
        if min(one.x1, two.x1) > max(one.x0, two.x0) + 1 and min(one.y1, two.y1) > max(one.y0, two.y0) + 2
    ]


def test_advice_is_drawn(shop):
    margins = ("collapse_factor", "response_s")
    changed = fa.compare(shop, shop.replaced("database", servers=2), samples=2, margins_of=margins)
    ax = changed.plot()
    assert next(t.get_text() for t in ax.get_yticklabels()) == "collapse factor"
    stronger = fa.reinforce(shop, target={"collapse_factor": 20.0})
    ax = stronger.plot(theme="dark")
    assert "reached" in ax.get_title(loc="left")
    assert len(ax.get_yticks()) == len(stronger.steps)


def test_every_entry_of_the_table_is_a_function():
    for module, name in DRAWN_BY.values():
        assert callable(getattr(import_module(f"fea_arch.plotting.{module}"), name))


def test_every_result_that_can_be_drawn_has_a_picture():
    import pkgutil

    import fea_arch.results
    from fea_arch.results.plots import Plottable

    for found in pkgutil.iter_modules(fea_arch.results.__path__):
        import_module(f"fea_arch.results.{found.name}")
    kinds, left = [], list(Plottable.__subclasses__())
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        kinds.append(kind)
    assert len(kinds) > 10
    leaves = [k for k in kinds if not k.__subclasses__()]
    assert [k.__name__ for k in leaves if not {m.__name__ for m in k.__mro__} & set(DRAWN_BY)] == []


def test_what_has_no_picture_says_so(things):
    with pytest.raises(fa.ModelError, match="no picture of a dict"):
        draw({})
    thing, _ = things["stress"]
    with pytest.raises(fa.ModelError, match="Did you mean 'deformed'"):
        thing.plot(kind="deform")
    with pytest.raises(fa.ModelError, match="needs the architecture"):
        thing.plot(kind="deformed")
    with pytest.raises(fa.ModelError, match="light or dark"):
        thing.plot(theme="darkish")


def test_draws_on_given_axes(things):
    thing, options = things["stress"]
    _, ax = plt.subplots()
    assert thing.plot(ax, **options) is ax


def test_deformed_shape_solves_compatibility(shop):
    from fea_arch.plotting.deformed import displacement

    found = fa.static(shop)
    u = displacement(shop, found)
    graph = shop.graph
    for i in range(len(shop)):
        called = graph.source == i
        own = u[i] - float(graph.calls[called] @ u[graph.target[called]])
        assert own == pytest.approx(found.in_flight[i], abs=1e-12)


def test_hostile_names_are_only_text():
    arch = fa.Architecture(
        name="$\\frac{1}{0}$",
        components=[fa.Component("$x_1$"), fa.Component("a\nb"), fa.Component("x" * 200)],
        dependencies=[fa.Dependency("$x_1$", "a\nb"), fa.Dependency("a\nb", "x" * 200)],
        loads=[fa.Load("$x_1$", rate_per_s=1.0)],
    )
    ax = fa.static(arch).plot(arch=arch)
    ax.figure.canvas.draw()
    assert max(len(t.get_text()) for t in ax.texts) < 70
