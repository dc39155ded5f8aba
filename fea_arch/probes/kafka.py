"""Probe of a Kafka-protocol event bus: metadata latency, produce-to-consume round trip, topics, consumer lag."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from fea_arch.architecture.measurement import Measurement
from fea_arch.errors import MissingExtraError, ModelError
from fea_arch.probes.generators import reason

__all__ = ["probe_kafka"]

_MOST_TOPICS = 1000
_MOST_PARTITIONS = 200
#: Messages of the burst that shows how many are under way at once.
_BURST = 64


def probe_kafka(
    name: str = "event-bus",
    brokers: Sequence[str] | str | None = None,
    *,
    samples: int = 20,
    warmup: int = 2,
    timeout_s: float = 10.0,
    round_trip: bool = False,
    topic: str | None = None,
    groups: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> Measurement:
    """Measure an event bus.

    Parameters
    ----------
    name : str
        Name of the component.
    brokers : str or sequence of str, optional
        ``host:port``; default from the environment variable ``KAFKA_BROKERS``, else ``localhost:9092``.
    samples, warmup : int
        Measured requests, after some that are not.
    timeout_s : float
        Longest time of one request [s].
    round_trip : bool
        Also produce small messages, wait until they are consumed, and send a burst of 64. This writes to the bus.
    topic : str, optional
        Topic of the round trip; by default one is created for the probe and deleted afterwards.
    groups : sequence of str
        Consumer groups whose lag is read.
    settings : mapping, optional
        Further librdkafka settings (security); passed on, never stored.

    Returns
    -------
    Measurement
        ``latency_s`` is what a sender waits for: acknowledgements if a round trip was asked for, else metadata requests
        [s]. ``details``: ``round_trip_s`` (produce to consume, every sample), ``burst_per_s`` (acknowledged messages
        of the burst [1/s]), ``metadata_s``, ``topics``, ``partitions``, ``brokers``, ``lag`` by group [messages].
        ``values["servers"]`` is how many messages the burst had under way on average, by Little's law: what the bus has
        been seen to serve at once, a lower bound of what it can.

    Raises
    ------
    ModelError
        Brokers that are not ``host:port``.
    MissingExtraError
        Without confluent-kafka.
    """
    try:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient
    except ImportError:
        raise MissingExtraError("confluent-kafka", "kafka") from None
    given = brokers if brokers is not None else os.environ.get("KAFKA_BROKERS") or "localhost:9092"
    listed = [b.strip() for b in (given.split(",") if isinstance(given, str) else given) if b.strip()]
    if not listed or not all(":" in b and b.rpartition(":")[2].isdigit() for b in listed):
        raise ModelError("is not a list of host:port", component=name, field="brokers", fix='"localhost:9092"')
    if samples < 1 or warmup < 0:
        raise ModelError(f"is {samples} after {warmup}", component=name, field="samples", fix="1 or more")
    base = {
        "bootstrap.servers": ",".join(listed),
        "socket.timeout.ms": int(timeout_s * 1000),
        "log_level": 0,
        "error_cb": lambda _error: None,
        **dict(settings or {}),
    }
    secrets = tuple(str(v) for k, v in (settings or {}).items() if "password" in k or "secret" in k or "jaas" in k)
    started_at, errors = time.time(), list[str]()
    details: dict[str, Any] = {}
    values: dict[str, Any] = {}
    asked: list[float] = []
    acks: list[float] = []
    try:
        admin = AdminClient(base)
        meta = None
        for i in range(warmup + samples):
            begin = time.perf_counter()
            meta = admin.list_topics(timeout=timeout_s)
            if i == 0:
                details["connect_s"] = time.perf_counter() - begin
            if i >= warmup:
                asked.append(time.perf_counter() - begin)
        assert meta is not None
        details["metadata_s"] = sum(asked) / len(asked)
        details["brokers"] = len(meta.brokers)
        details["topics"] = sorted(t for t in meta.topics if not t.startswith("__"))[:_MOST_TOPICS]
        details["partitions"] = sum(len(t.partitions) for t in meta.topics.values())
        if round_trip:
            acks, details["round_trip_s"], details["burst_per_s"] = _round_trips(
                admin, base, topic, samples, warmup, timeout_s
            )
            # a bus has many messages under way at once: how many, by Little's law, is what it has been seen to serve
            values["servers"] = max(round(details["burst_per_s"] * sum(acks) / len(acks)), 1) if acks else 1
        if groups:
            details["lag"] = {g: _lag(base, g, meta, timeout_s) for g in groups}
    except (KafkaException, TimeoutError, ValueError, TypeError) as error:
        text = reason(error)
        for secret in secrets:
            text = text.replace(secret, "***")
        errors.append(text)
    return Measurement(
        component=name, kind="kafka", ok=bool(asked) and not errors, latency_s=tuple(acks or asked),
        errors=tuple(errors), started_at=started_at, details=details, values=values,
    )  # fmt: skip


def _round_trips(
    admin: Any, base: dict[str, Any], topic: str | None, samples: int, warmup: int, timeout_s: float
) -> tuple[list[float], list[float], float]:
    from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition
    from confluent_kafka.admin import NewTopic

    own = topic is None
    target = topic or f"fea-arch-probe-{uuid.uuid4().hex[:12]}"
    if own:
        for future in admin.create_topics([NewTopic(target, num_partitions=1, replication_factor=1)]).values():
            future.result(timeout_s)
    producer = Producer({**base, "linger.ms": 0, "message.timeout.ms": int(timeout_s * 1000)})
    # assigned by hand: a reader of its own that joins no group and commits nothing
    consumer = Consumer({
        **base, "group.id": f"fea-arch-probe-{uuid.uuid4().hex[:12]}", "enable.auto.commit": False,
        "session.timeout.ms": 6000, "fetch.wait.max.ms": 500,
    })  # fmt: skip
    acks: list[float] = []
    trips: list[float] = []
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(target, 0), timeout=timeout_s)
        consumer.assign([TopicPartition(target, 0, end if end >= 0 else OFFSET_END)])
        consumer.poll(0.1)
        for i in range(warmup + samples):
            token = uuid.uuid4().bytes
            acknowledged: list[float] = []
            begin = time.perf_counter()
            producer.produce(
                target, token, partition=0, on_delivery=lambda e, m, to=acknowledged: to.append(m.latency() or 0.0)
            )
            producer.poll(0)
            while True:
                left = timeout_s - (time.perf_counter() - begin)
                if left <= 0:
                    raise TimeoutError
                message = consumer.poll(min(left, 0.5))
                if message is not None and message.error() is None and message.value() == token:
                    break
            took = time.perf_counter() - begin
            producer.flush(timeout_s)
            if i >= warmup:
                trips.append(took)
                acks += acknowledged
        rate = _burst(producer, target, timeout_s)
    finally:
        consumer.close()
        producer.flush(1.0)
        if own:
            for future in admin.delete_topics([target]).values():
                future.exception(timeout_s)
    return acks, trips, rate


def _burst(producer: Any, topic: str, timeout_s: float) -> float:
    """Send messages without waiting for each other's acknowledgement; return the acknowledged ones a second [1/s]."""
    done: list[float] = []

    def acknowledged(error: Any, _message: Any) -> None:
        if error is None:
            done.append(time.perf_counter())

    begin = time.perf_counter()
    for _ in range(_BURST):
        producer.produce(topic, uuid.uuid4().bytes, partition=0, on_delivery=acknowledged)
        producer.poll(0)
    producer.flush(timeout_s)
    if not done:
        raise TimeoutError
    return len(done) / (done[-1] - begin)


def _lag(base: dict[str, Any], group: str, meta: Any, timeout_s: float) -> int:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({**base, "group.id": group, "enable.auto.commit": False, "session.timeout.ms": 6000})
    try:
        places = [TopicPartition(n, p) for n, t in meta.topics.items() if n[:2] != "__" for p in t.partitions]
        lag = 0
        for place in consumer.committed(places[:_MOST_PARTITIONS], timeout=timeout_s):
            if place.offset >= 0:  # groups that never committed on a partition do not lag on it
                _, end = consumer.get_watermark_offsets(TopicPartition(place.topic, place.partition), timeout=timeout_s)
                lag += max(end - place.offset, 0)
        return lag
    finally:
        consumer.close()
