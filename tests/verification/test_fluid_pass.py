"""The one pass along the calls, taken where nothing feeds back, against the sweeps that solve any architecture."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest
from fluid_networks import close, without_feedback

import fea_arch as fa
from fea_arch.analyses import transient as verb
from fea_arch.solvers.fluid import fluid_model


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("lag", "step"), [("none", {"dt_s": 0.01}), ("full", {"dt_s": 0.01}), ("none", {})])
def test_the_pass_equals_the_sweeps(monkeypatch, seed, lag, step):
    arch = without_feedback(seed)
    arch = arch.scaled(0.5 * fa.static(arch).max_load_factor)
    # with the lag of all capacity the path is unstable: a difference of 1e-9 grows to the size of the path in 4 s
    end, dead = (4.0, (2.0, 2.5)) if lag == "none" else (1.5, (1.1, 1.3))
    assert not fluid_model(*verb._base(arch, 1.0, "steady")).again  # else both would be the sweeps

    def run():
        return fa.transient(
            arch, fa.Burst(factor=4.0, start_s=0.5, duration_s=1.0), end, lag=lag, events=[fa.Outage("c9", *dead)],
            times_s=np.linspace(0.0, end, 33), **step,
        )  # fmt: skip

    passed = run()

    def swept_model(*given):
        model = copy(fluid_model(*given))
        model.again = True
        return model

    monkeypatch.setattr(verb, "fluid_model", swept_model)
    swept = run()
    assert passed.steps == pytest.approx(swept.steps, abs=0 if step else 3)
    assert passed.balance < 1e-12
    bound = 1e-6 if step else 1e-4  # steps of a path that chooses them may differ in the last digits
    for name in ("in_flight", "throughput_per_s", "success_share", "offered", "served", "peak"):
        close(getattr(passed, name), getattr(swept, name), bound)
