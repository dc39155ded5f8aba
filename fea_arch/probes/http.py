"""Probe of an HTTP endpoint: latency, status, TLS."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fea_arch.architecture.measurement import Measurement
from fea_arch.errors import MissingExtraError, ModelError
from fea_arch.probes.generators import reason

__all__ = ["probe_http"]


def probe_http(
    name: str,
    url: str,
    *,
    samples: int = 20,
    warmup: int = 2,
    timeout_s: float = 5.0,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    verify: bool = True,
    max_body_bytes: int = 8 << 20,
) -> Measurement:
    """Measure the unloaded latency of an HTTP endpoint over one kept-alive connection.

    Parameters
    ----------
    name : str
        Name of the component.
    url : str
        Address; user information and query are sent but not stored.
    samples, warmup : int
        Measured requests, after some that are not.
    timeout_s : float
        Longest time of one request [s].
    headers : mapping, optional
        Sent; never stored.
    method : str
        A method without side effects: GET, HEAD or OPTIONS.
    verify : bool
        Whether the certificate must be valid.
    max_body_bytes : int
        A longer answer is cut off and counts as an error.

    Returns
    -------
    Measurement
        ``latency_s`` [s]; ``details`` with the first connection ``connect_s``, ``status``, ``http_version``, ``tls``.

    Raises
    ------
    ModelError
        An address that is not http(s), a method that may change something.
    MissingExtraError
        Without httpx.
    """
    if not str(url).startswith(("http://", "https://")):
        raise ModelError("is not an http address", component=name, field="url")
    if method not in ("GET", "HEAD", "OPTIONS"):
        raise ModelError(f"is {method!r}", component=name, field="method", fix="GET, HEAD or OPTIONS")
    if samples < 1 or warmup < 0:
        raise ModelError(f"is {samples} after {warmup}", component=name, field="samples", fix="1 or more")
    try:
        import httpx
    except ImportError:
        raise MissingExtraError("httpx", "probe") from None
    started_at = time.time()
    times: list[float] = []
    errors: list[str] = []
    statuses: dict[int, int] = {}
    details: dict[str, Any] = {}
    try:
        with httpx.Client(timeout=timeout_s, headers=dict(headers or {}), verify=verify) as client:
            for i in range(warmup + samples):
                begin = time.perf_counter()
                with client.stream(method, url) as answer:
                    if i == 0:
                        details.update(_connection(answer))
                    size = 0
                    for chunk in answer.iter_raw():
                        size += len(chunk)
                        if size > max_body_bytes:
                            raise ValueError(f"more than {max_body_bytes} bytes of body")
                        if time.perf_counter() - begin > timeout_s:  # httpx bounds each read, not the whole answer
                            raise TimeoutError
                took = time.perf_counter() - begin
                if i == 0:
                    details["connect_s"] = took
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
                if i >= warmup and answer.status_code < 400:
                    times.append(took)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        errors.append(_without_address(reason(error), url))
    bad = sum(n for status, n in statuses.items() if status >= 400)
    if bad:
        errors.append(f"{bad} of {sum(statuses.values())} answers had a status of 400 or more")
    details["status"] = {str(k): v for k, v in statuses.items()}
    return Measurement(
        component=name, kind="http", ok=bool(times) and not errors, latency_s=tuple(times), errors=tuple(errors),
        started_at=started_at, details=details,
    )  # fmt: skip


def _connection(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"http_version": answer.http_version}
    stream = answer.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    if tls is not None:
        found["tls"] = tls.version()
        expiry = (tls.getpeercert() or {}).get("notAfter")
        if expiry:
            found["certificate_expires"] = str(expiry)
    return found


def _without_address(text: str, url: str) -> str:
    parts = urlsplit(url)
    for secret in (url, parts.query, parts.password, parts.username):
        if secret:
            text = text.replace(secret, "***")
    return text
