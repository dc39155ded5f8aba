"""Quantities with units: every accepted spelling, and nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fea_arch.architecture.units import parse_bytes, parse_cpus, parse_rate, parse_seconds
from fea_arch.errors import ModelError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12 ms", 0.012),
        ("12ms", 0.012),
        (" 1.5e-3 s ", 0.0015),
        ("2 min", 120.0),
        ("3µs", 3e-6),
        ("1h", 3600.0),
        ("0", 0.0),
        (0.25, 0.25),
    ],
)
def test_seconds(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MiB", 512 * 2**20), ("512M", 512 * 2**20), ("1kB", 1e3), ("2Gi", 2**31), ("7", 7), ("1.5 GB", 1.5e9)],
)
def test_bytes(text, size):
    assert parse_bytes(text) == size


def test_cpus_and_rates():
    assert parse_cpus("250m") == 0.25
    assert parse_rate("120/min") == pytest.approx(2.0)
    assert parse_rate("5 rps") == 5.0


@pytest.mark.parametrize("parse", [parse_seconds, parse_bytes, parse_cpus, parse_rate])
@pytest.mark.parametrize(
    "text", ["", "abc", "1 parsec", "-1", "nan", "inf", "1e999", None, True, "1 2", "1,5", "0x10", "9" * 65, [], {}]
)
def test_bad_quantities_are_named(parse, text):
    with pytest.raises(ModelError, match="for instance"):
        parse(text)


@given(st.floats(0, 1e12), st.sampled_from(["ms", "s", "us", "min", "h"]))
def test_scaling_is_linear(number, unit):
    assert parse_seconds(f"{number!r} {unit}") == pytest.approx(number * parse_seconds(f"1{unit}"), rel=1e-12)


@given(st.text(max_size=80))
def test_any_text_is_a_number_or_a_model_error(text):
    try:
        value = parse_seconds(text)
    except ModelError:
        return
    assert math.isfinite(value)
    assert value >= 0
