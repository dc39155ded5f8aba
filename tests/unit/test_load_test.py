from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fea_arch.errors import ModelError
from fea_arch.probes import fit_law, generators, load_test
from fea_arch.probes.generators import arrivals
from fea_arch.probes.load_point import Record, summarise


def test_closed_loop_finds_the_servers_of_a_pool():
    with ThreadPoolExecutor(3) as pool:  # first come, first served
        test = load_test(lambda: pool.submit(time.sleep, 0.02).result(), (1, 2, 3, 6, 12), duration_s=0.7, warmup_s=0.1)
    for point, n in zip(test, (1, 2, 3, 6, 12)):
        assert point.concurrency == pytest.approx(n, rel=0.06)
        assert abs(point.little_error) < 0.08
        assert point.mode == "closed"
    fit = fit_law(test, "mmc")
    low, high = fit.intervals["servers"]
    assert low <= 3 <= high
    assert fit.capacity_per_s == pytest.approx(3 / 0.02, rel=0.15)


def test_open_loop_counts_from_the_intended_start():
    # one server stalls for 0.5 s once: a closed generator sees one slow request, the open stream everyone who came
    lock, first = threading.Lock(), [True]

    def call():
        with lock:
            time.sleep(0.5 if first.pop() else 0.001) if first else time.sleep(0.001)

    begin = time.perf_counter()
    test = load_test(call, (), rates=(100,), duration_s=1.2, warmup_s=0, poisson=False)
    assert time.perf_counter() - begin < 6  # the threads end with the last answer, not with the time limit of 10 s
    point = test[0]
    late = float((np.asarray(test.latencies_s[0]) > 0.1).mean())
    assert 0.3 < late < 0.5  # arrivals during 0.4 s of 1.2 s wait more than 0.1 s
    assert point.p95_s > 0.3
    assert point.p50_s < 0.3
    # what coordinated omission is: the closed loop asks nothing during the stall, so one answer of many is slow
    first[:] = [True]
    closed = load_test(call, (1,), duration_s=1.2, warmup_s=0)[0]
    assert closed.max_s > 0.45
    assert closed.p95_s < 0.05


def test_what_never_ends_is_not_forgotten():
    async def call():
        await asyncio.sleep(0.005 if np.random.default_rng().random() < 0.5 else 60)

    point = load_test(call, (), rates=(100,), duration_s=0.5, warmup_s=0, timeout_s=0.5)[0]
    assert point.errors + point.unfinished > 10
    assert point.reasons in ((), ("timeout",))


def test_asynchronous_open_loop_has_little_and_poisson_arrivals():
    async def call():
        await asyncio.sleep(0.01)

    point = load_test(call, (), rates=(200,), duration_s=1.0, warmup_s=0.1, seed=4)[0]
    assert abs(point.little_error) < 0.1
    times = np.array(arrivals(1000.0, 20.0, poisson=True, seed=1))
    gaps = np.diff(times)
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(1, rel=0.03)
    assert np.diff(arrivals(10.0, 1.0, poisson=False, seed=1)) == pytest.approx(0.1)


def test_summary_against_hand_counted_records():
    records = [Record(0.0, 0.0, 1.0), Record(0.5, 0.7, 1.5), Record(1.0, 1.0, 3.0), Record(1.5, 1.6)]
    point, sample = summarise(records, 0.0, 2.0, mode="open", setting=2.0, client_cpu=0.0)
    assert sample.tolist() == pytest.approx([1.0, 1.0, 2.0, 1.5])
    assert point.throughput_per_s == 1.0
    assert point.concurrency == pytest.approx((1.0 + 1.0 + 1.0 + 0.5) / 2)
    assert (point.samples, point.unfinished) == (2, 1)


def test_commands_and_failures():
    test = load_test(["true"], (1, 2), duration_s=0.4, warmup_s=0)
    assert test.target == "true"
    assert all(p.samples > 0 for p in test)
    with pytest.raises(ModelError, match="exit status 1"):
        load_test(["false"], (1,), duration_s=0.2, warmup_s=0)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"concurrencies": (0,)}, "concurrencies"),
        ({"concurrencies": (1.5,)}, "concurrencies"),
        ({"concurrencies": ()}, "concurrencies"),
        ({"concurrencies": (10**9,)}, "concurrencies"),
        ({"rates": (-1,)}, "rates"),
        ({"duration_s": 0}, "duration_s"),
        ({"warmup_s": -1}, "warmup_s"),
    ],
)
def test_bad_arguments(options, word):
    with pytest.raises(ModelError, match=word):
        load_test(lambda: None, **options)


def test_the_step_of_a_hanging_call_ends():
    begin = time.perf_counter()
    with pytest.raises(ModelError, match="nothing was answered"):
        load_test(lambda: time.sleep(30), (2,), duration_s=0.2, warmup_s=0, timeout_s=0.3)
    assert time.perf_counter() - begin < 3


class Desk:
    """Three servers of 20 ms and six callers on a clock of their own; fair, or never for three of the callers."""

    def __init__(self, fair: bool) -> None:
        self.fair, self.clock = fair, 0.0

    def step(self, call, workers, length_s, timeout_s):
        waiting, records = [Record(0.0, 0.0) for _ in range(workers)], []
        records += waiting
        while self.clock < length_s:
            served, waiting = waiting[:3], waiting[3:]
            self.clock += 0.02
            again = []
            for record in served:
                record.end = self.clock
                again.append(Record(self.clock, self.clock))
            records += again
            waiting = [*waiting, *again] if self.fair else [*again, *waiting]
        return records, 0.0


@pytest.mark.parametrize(("fair", "residence_s", "error"), [(True, 0.04, 0.0), (False, 0.02, -0.5)])
def test_starvation_shows_as_a_violation_of_littles_law(monkeypatch, fair, residence_s, error):
    monkeypatch.setattr(generators, "closed_threads", Desk(fair).step)
    test = load_test(lambda: None, (6,), duration_s=4.0, warmup_s=0.2)
    assert test[0].concurrency == pytest.approx(6)
    assert test[0].throughput_per_s == pytest.approx(150, rel=0.01)
    assert test[0].latency_s == pytest.approx(residence_s)
    assert test[0].little_error == pytest.approx(error, abs=0.01)
    assert any("starve" in note for note in test.notes) is not fair
