"""The report page in a real browser: no faults, no requests, keyboard, contrast, widths, hostile names."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import chromium
from shared_data import data_path

import fea_arch as fa
from fea_arch.report.overview import overview
from fea_arch.report.page import page as render

BINARY = chromium.find()
pytestmark = [
    pytest.mark.skipif(BINARY is None, reason="no Chromium found (install chromium or set FEA_ARCH_CHROMIUM)"),
    pytest.mark.slow,
]
HOSTILE = "<script>alert(1)</script>"
#: Relative luminance and contrast ratio after WCAG 2.2, of every element that holds text of its own.
CONTRAST = """(() => {
  const probe = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (c) => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = c; probe.fillRect(0, 0, 1, 1);
    const d = probe.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const light = (c) => { const [r, g, b] = c.map(v => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const base = rgba(getComputedStyle(document.body).backgroundColor);
  const bad = []; let seen = 0;
  for (const e of document.querySelectorAll("body *")) {
    if (!Array.from(e.childNodes).some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    if (["SCRIPT", "STYLE", "TITLE", "title"].includes(e.tagName) || !e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    const ink = rgba(e instanceof SVGElement ? style.fill : style.color);
    let back = base;
    for (let p = e; p; p = p.parentElement) {
      const c = rgba(getComputedStyle(p).backgroundColor); if (c[3] > 0.99) { back = c; break; } }
    const a = light(ink.slice(0, 3)), b = light(back.slice(0, 3));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    if (ratio < 4.5) bad.push([e.tagName, e.textContent.trim().slice(0, 40), ratio]);
  }
  return {seen, bad};
})()"""


@pytest.fixture(scope="module")
def tab():
    page = chromium.Page(BINARY)
    yield page
    page.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Pages of a system that stands, of one that does not, and of one with hostile names."""
    folder = tmp_path_factory.mktemp("pages")
    shop = fa.load_sample("shop")
    nasty = fa.Architecture(
        name=f'"\'{HOSTILE}&amp;',
        components=[
            fa.Component(HOSTILE, service_time_s=0.001, servers=4),
            fa.Component("</style><img src=x onerror=alert(2)>", service_time_s=0.002, servers=4),
            fa.Component("{{ 7*7 }}${7*7}", service_time_s=0.002, servers=4),
            fa.Component("a" * 300, service_time_s=0.002, servers=4),
            fa.Component("javascript:alert(3)//\u202egnp", service_time_s=0.002, servers=4, available=False),
        ],
        dependencies=[
            fa.Dependency(HOSTILE, "</style><img src=x onerror=alert(2)>"),
            fa.Dependency(HOSTILE, "{{ 7*7 }}${7*7}"),
            fa.Dependency("{{ 7*7 }}${7*7}", "a" * 300),
            fa.Dependency("a" * 300, HOSTILE, calls=0.1),
        ],
        loads=[fa.Load(HOSTILE, rate_per_s=50.0)],
    )
    made = {
        "stands": overview(shop, source="shop.yaml"),
        "falls": overview(shop, 30.0, source="shop.yaml", quick=True),
        "platform": overview(fa.load_sample("runbook"), source="runbook (bundled)"),
        "hostile": overview(nasty, source=f"{HOSTILE}.json"),
    }
    paths = {}
    for name, found in made.items():
        paths[name] = folder / f"{name}.html"
        paths[name].write_text(render(found), encoding="utf-8")
    return paths


@pytest.mark.parametrize("name", ["stands", "falls", "platform", "hostile"])
def test_no_console_messages_and_no_requests(tab, pages, name):
    tab.open(pages[name])
    tab.evaluate("new Promise(done => setTimeout(done, 200))")
    assert tab.console == []
    outside = [url for url in tab.requests if not url.startswith("data:") and url != pages[name].as_uri()]
    assert outside == []


@pytest.mark.parametrize("name", ["stands", "falls", "platform", "hostile"])
@pytest.mark.parametrize("width", [320, 480, 768, 1280, 1920])
def test_the_page_never_scrolls_sideways(tab, pages, name, width):
    tab.open(pages[name], width=width)
    assert tab.evaluate("innerWidth") == width
    wide = """[document.documentElement.scrollWidth - document.documentElement.clientWidth,
        ...Array.from(document.querySelectorAll('body *')).filter(e => !e.closest('.scroll') && !e.closest('.skip')
        && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .map(e => e.tagName + '.' + e.className)]"""
    assert tab.evaluate(wide) == [0]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["stands", "falls", "platform"])
def test_every_text_has_contrast(tab, pages, name, dark):
    tab.open(pages[name], dark=dark)
    found = tab.evaluate(CONTRAST)
    assert found["seen"] > 100
    assert found["bad"] == []


def test_hostile_names_stay_text(tab, pages):
    tab.open(pages["hostile"])
    assert tab.evaluate("document.querySelectorAll('script').length") == 1
    assert tab.evaluate("document.querySelectorAll('img:not([src^=\"data:image/svg+xml\"])').length") == 0
    labels = tab.evaluate("Array.from(document.querySelectorAll('#components tbody th')).map(e => e.textContent)")
    assert HOSTILE in labels
    assert "{{ 7*7 }}${7*7}" in labels
    assert any("\ufffd" in label for label in labels)  # a character that turns the writing direction is made visible
    assert HOSTILE in tab.evaluate("document.querySelector('h1').textContent")
    assert tab.evaluate("Array.from(document.links).every(a => a.getAttribute('href').startsWith('#'))")


def test_keyboard_reaches_everything(tab, pages):
    tab.open(pages["stands"])
    seen = []
    for _ in range(80):
        tab.press("Tab", 9)
        seen.append(
            tab.evaluate("""(() => { const e = document.activeElement; const s = getComputedStyle(e);
            return [e.tagName.toLowerCase(), String(e.getAttribute('class')), s.outlineStyle]; })()""")
        )
        if seen[-1][0] == "body":
            break
    kinds = {tag for tag, _, _ in seen}
    assert {"a", "button", "input", "div"} <= kinds
    marks = [s for s in seen if s[1] == "mark"]
    assert len(marks) == 5
    assert all(style != "none" for tag, name, style in seen if tag in ("button", "input", "div"))


def test_focus_shows_the_figures_and_enter_leads_to_the_row(tab, pages):
    tab.open(pages["stands"])
    tab.evaluate("document.querySelectorAll('#graph .mark')[4].focus()")
    assert "database (database): elastic" in tab.evaluate("document.getElementById('details').textContent")
    tab.press("Enter", 13)
    assert tab.evaluate("document.querySelector('tr:target th').textContent") == "database"


def test_tables_sort_and_filter(tab, pages):
    tab.open(pages["platform"])
    rows = "Array.from(document.querySelectorAll('#components tbody tr:not([hidden])'))"
    column = rows + ".map(r => r.cells[{}].textContent)"
    by_name = "document.querySelectorAll('#components thead button')[0].click()"
    tab.evaluate(by_name)
    tab.evaluate(by_name)
    names = tab.evaluate(column.format(0))
    assert names == sorted(names) and len(names) == 51
    tab.evaluate("document.querySelectorAll('#components thead button')[6].click()")  # response, mixed units
    times = tab.evaluate(column.format(6))
    unit = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
    seconds = [float(t.split()[0]) * unit[t.split()[1]] for t in times if t != "-"]
    assert seconds == sorted(seconds, reverse=True) and len({t.split()[1] for t in times if t != "-"}) > 1
    tab.evaluate("""(() => { const i = document.getElementById('components-filter'); i.value = 'GIBSON';
        i.dispatchEvent(new Event('input')); })()""")
    assert set(tab.evaluate(column.format(0))) == {"gibson", "gibson-cli"}
    assert tab.evaluate("document.querySelector('#components .count').textContent") == "2 of 51"


def test_the_page_reads_without_script(tab, pages):
    tab.open(pages["stands"], script=False)
    text = tab.evaluate("document.body.innerText")
    assert "Stands and meets every condition." in text
    assert tab.evaluate("document.querySelectorAll('thead button').length") == 0
    assert not tab.evaluate("document.querySelector('.filter').checkVisibility()")
    assert tab.evaluate("document.querySelectorAll('#graph .mark title').length") == 5


def test_the_verdict_comes_first(tab, pages):
    tab.open(pages["falls"])
    order = tab.evaluate("Array.from(document.querySelectorAll('h2')).map(e => e.textContent)")
    assert order[0].startswith("Does not stand at 30x the design load")
    rest = ["What limits", "What breaks first", "What to do", "Picture", "Tables", "Methods and basis"]
    assert [title for title in order[1:] if title in rest] == rest


def test_labels_of_the_picture_do_not_overlap(tab, pages):
    tab.open(pages["platform"])
    boxes = tab.evaluate("""Array.from(document.querySelectorAll('#graph text')).map(e => { const b = e.getBBox();
        return [b.x, b.y, b.x + b.width, b.y + b.height]; })""")
    assert len(boxes) == 51
    clash = [
        (i, j)
        for i, a in enumerate(boxes)
        for j, b in enumerate(boxes[:i])
        if min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1]) + 2
    ]
    assert clash == []


def test_a_large_real_graph_stays_legible(tab, tmp_path):
    arch = fa.read(data_path("jaeger-fixtures", "dependencies-large.json"))
    path = tmp_path / "large.html"
    path.write_text(render(overview(arch, rounds=1)), encoding="utf-8")
    tab.open(path, width=320)
    assert tab.evaluate("document.documentElement.scrollWidth") == 320
    assert tab.console == []
    assert 20 <= tab.evaluate("document.querySelectorAll('#graph .mark').length") <= 60
    assert tab.evaluate("document.querySelectorAll('#components tbody tr').length") == len(arch)
    assert tab.evaluate("document.querySelectorAll('#graph .mark').length") == tab.evaluate(
        "new Set(Array.from(document.querySelectorAll('#graph .mark')).map(a => a.getAttribute('href'))"
        ".filter(h => document.querySelector(h))).size"
    )
