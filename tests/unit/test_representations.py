"""Every object shows itself in a line or a few, in text and in notebooks, whatever its names are."""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa

EVIL = "<script>alert(1)</script>"


def chain(n=6):
    return fa.Mesh.from_bars(n, [(i, i + 1) for i in range(n - 1)], np.ones(n - 1), mass=np.ones(n), supports=(0,))


def arch():
    parts = [fa.Component(EVIL, servers=2, service_time_s=0.01), fa.Component("db", service_time_s=0.005)]
    return fa.Architecture(
        name="x", components=parts, dependencies=[fa.Dependency(EVIL, "db")], loads=[fa.Load(EVIL, rate_per_s=50.0)]
    )


OBJECTS = {
    "architecture": arch,
    "static": lambda: fa.static(arch()),
    "score": lambda: fa.score(arch()),
    "burst_spectrum": lambda: fa.burst_spectrum(arch(), durations_s=(1.0,), factors=(2.0,)),
    "mesh": chain,
    "system": lambda: fa.assemble(chain()),
    "modes": lambda: fa.eigen(chain(), modes=2),
    "history": lambda: fa.integrate(chain(), np.ones(6), dt_s=0.1, duration_s=0.5),
    "solution": lambda: fa.solve(chain(), np.ones(6)),
    "measurement": lambda: fa.Measurement(EVIL, kind="cli", latency_s=(0.01, 0.02), memory_bytes=1e7, errors=("none",)),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_text_is_short_and_html_is_escaped(name):
    thing = OBJECTS[name]()
    text, html = repr(thing), thing._repr_html_()
    assert 1 <= len(text.splitlines()) <= 12
    assert len(text) < 1500
    assert "array(" not in text
    assert html.startswith(("<div", "<pre"))
    assert "<script" not in html
    if EVIL in text:
        assert "&lt;script&gt;" in html


def test_tables_of_modes():
    html = fa.eigen(chain(), modes=2)._repr_html_()
    assert "<th>frequency [Hz]</th>" in html
    assert html.count("<tr>") == 3
