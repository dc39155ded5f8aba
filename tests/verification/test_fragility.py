"""Fragility curves: closed form of one station, any executor gives the same numbers, nothing that came back is lost."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from scipy.stats import norm

import fea_arch as fa

SIGMA = np.sqrt(np.log1p(0.2**2))


@pytest.fixture(scope="module")
def arch():
    """One station of 100/s at 50/s; its service time is measured with a spread of 20 %."""
    origin = fa.Provenance(kind="measured", samples=500, spread=0.2)
    return fa.Architecture(
        name="one",
        components=[fa.Component("api", service_time_s=0.01, provenance={"service_time_s": origin})],
        loads=[fa.Load("api", rate_per_s=50.0)],
    )


@pytest.mark.parametrize("method", ["latin hypercube", "sobol"])
def test_one_station_collapses_where_its_lognormal_capacity_is_passed(arch, method):
    """P(2 / ratio <= factor) of a lognormal ratio of mean one; strata of 1/512 and bisection to 1e-3."""
    factors = np.array([1.4, 1.7, 2.0, 2.3, 2.8])
    result = fa.fragility(arch, factors, samples=512, method=method)
    exact = 1.0 - norm.cdf((np.log(2.0 / factors) + 0.5 * SIGMA**2) / SIGMA)
    np.testing.assert_allclose(result.probability, exact, atol=0.006)
    assert result.complete and result.spreads == {"api": pytest.approx(0.2)}
    assert ((result.lower <= exact) & (exact <= result.upper)).all()
    assert result.factor_at(0.5) == pytest.approx(2.0 * np.exp(0.5 * SIGMA**2), rel=0.01)


def test_a_seed_is_a_result_and_another_seed_another(arch):
    first, again, other = (fa.fragility(arch, [2.0], samples=60, seed=s) for s in (7, 7, 8))
    np.testing.assert_array_equal(first.collapse_factor, again.collapse_factor)
    assert (first.collapse_factor != other.collapse_factor).any()


def test_threads_and_processes_give_the_same_numbers(arch):
    alone = fa.fragility(arch, [2.0], samples=80, seed=3)
    with ThreadPoolExecutor(2) as pool:
        threads = fa.fragility(arch, [2.0], samples=80, seed=3, executor=pool)
    np.testing.assert_array_equal(alone.collapse_factor, threads.collapse_factor)


def test_processes_give_the_same_numbers(arch):
    import multiprocessing

    alone = fa.fragility(arch, [2.0], samples=50, seed=3)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        processes = fa.fragility(arch, [2.0], samples=50, seed=3, executor=pool)
    np.testing.assert_array_equal(alone.collapse_factor, processes.collapse_factor)


def test_the_bundled_platform_goes_to_processes():
    """It has hosts, whose origins of numbers must go there as well."""
    import multiprocessing

    arch = fa.load_sample("runbook")
    alone = fa.fragility(arch, [1.5], samples=25, seed=3)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        processes = fa.fragility(arch, [1.5], samples=25, seed=3, executor=pool)
    np.testing.assert_array_equal(alone.collapse_factor, processes.collapse_factor)


def test_dask_with_two_workers_gives_the_same_numbers(arch, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="needs the extra fea-arch[dask]")
    monkeypatch.chdir(tmp_path)
    alone = fa.fragility(arch, [2.0], samples=80, seed=3)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        result = fa.fragility(arch, [2.0], samples=80, seed=3, executor=client.get_executor())
        assert len(client.scheduler_info()["workers"]) == 2
    np.testing.assert_array_equal(alone.collapse_factor, result.collapse_factor)


class Dying(Executor):
    """Runs three jobs, then its workers are dead."""

    def __init__(self, jobs=3):
        self.left = jobs

    def submit(self, function, /, *arguments, **options):
        job = Future()
        self.left -= 1
        if self.left < 0:
            job.set_exception(BrokenExecutor("a worker was killed"))
        else:
            job.set_result(function(*arguments, **options))
        return job


def test_an_executor_that_dies_leaves_what_came_back(arch):
    with pytest.raises(fa.ConvergenceError, match="died after 75 of 250 samples") as caught:
        fa.fragility(arch, [2.0], samples=250, executor=Dying())
    partial = caught.value.partial
    assert partial.collapse_factor.size == 75 and not partial.complete and partial.samples == 250
    assert "partial" in repr(partial)
    with pytest.raises(fa.ConvergenceError, match="before any sample"):
        fa.fragility(arch, [2.0], samples=250, executor=Dying(0))
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(fa.ConvergenceError, match="executor died"):
        fa.fragility(arch, [2.0], samples=30, executor=pool)


def test_ctrl_c_keeps_the_samples_so_far_and_progress_counts_up(arch):
    seen = []

    def tell(done, asked):
        seen.append((done, asked))
        if done >= 100:
            raise KeyboardInterrupt

    result = fa.fragility(arch, [1.0, 2.0], samples=500, progress=tell)
    assert result.interrupted and not result.complete and result.collapse_factor.size == 100
    assert seen == [(25, 500), (50, 500), (75, 500), (100, 500)]
    assert result.to_dict()["computed"] == 100
    whole = fa.fragility(arch, [1.0, 2.0], samples=500)
    np.testing.assert_array_equal(result.collapse_factor, whole.collapse_factor[:100])


def test_bundled_platform():
    """Its assumed service times make the collapse load uncertain; the curve rises from 0 to 1 with the load."""
    result = fa.fragility(fa.load_sample("runbook"), np.linspace(0.8, 2.4, 9), samples=60)
    assert (np.diff(result.probability) >= 0).all()
    assert result.probability[0] < 0.05 and result.probability[-1] > 0.95
    nominal = fa.fracture(fa.load_sample("runbook")).collapse_factor
    assert result.factor_at(0.05) < nominal < result.factor_at(0.95)
    assert len(result.to_dataframe()) == 9 and "<table>" in result._repr_html_()


@pytest.mark.parametrize(("arguments", "words"), [
    ({"load_factors": []}, "load_factors"), ({"load_factors": [1.0, -1.0]}, "load_factors"),
    ({"load_factors": [np.nan]}, "load_factors"), ({"load_factors": [1.0], "samples": 0}, "samples"),
    ({"load_factors": [1.0], "samples": 2.5}, "samples"), ({"load_factors": [1.0], "seed": -1}, "seed"),
    ({"load_factors": [1.0], "method": "sobel"}, "method"),
])  # fmt: skip
def test_bad_arguments_are_named(arch, arguments, words):
    with pytest.raises(fa.ModelError, match=words):
        fa.fragility(arch, **arguments)
    with pytest.raises(fa.ModelError, match="nothing can break"):
        fa.fragility(arch.scaled(0.0), [1.0])
