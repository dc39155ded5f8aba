"""A live Prometheus server: the queries of :mod:`fea_arch.sources.prometheus`, asked over its HTTP API."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError, ProbeError
from fea_arch.sources.mesh_metrics import from_series
from fea_arch.sources.prometheus import QUERIES, Series, series_of

__all__ = ["fetch_prometheus"]

#: Largest answer that is taken [bytes].
MAX_ANSWER = 64 * 2**20


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follow redirects within the same server only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Refuse to be led to another server."""
        if urllib.parse.urlsplit(newurl)[:2] != urllib.parse.urlsplit(req.full_url)[:2]:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_prometheus(
    url: str,
    *,
    window: str = "5m",
    timeout_s: float = 10.0,
    rate_per_s: float | None = None,
    max_bytes: int = MAX_ANSWER,
    name: str = "prometheus",
) -> Architecture:
    """Ask a Prometheus server for service-graph, Istio and container metrics.

    Parameters
    ----------
    url : str
        Base address, ``http://host:9090``. A user name and password in it are used and never shown.
    window : str
        Range of the rates, as Prometheus writes it (``5m``).
    timeout_s : float
        Longest wait for each answer [s].
    rate_per_s : float, optional
        Sum of the arrivals from outside [1/s]; default: as seen.
    max_bytes : int
        Largest answer [bytes].
    name : str

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        For an address or window that is none, and for metrics that tell of no component.
    ProbeError
        If the server does not answer, refuses, or answers with something else.

    Examples
    --------
    >>> fetch_prometheus("file:///etc/hosts")
    Traceback (most recent call last):
    ...
    fea_arch.errors.ModelError: url: is not an http address Fix: http://host:9090
    """
    parts = urllib.parse.urlsplit(url if isinstance(url, str) else "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelError("is not an http address", field="url", fix="http://host:9090")
    digits, unit = window[:-1], window[-1:]
    if not digits.isdigit() or int(digits) == 0 or unit not in "smhd":
        raise ModelError(f"is {window!r}", field="window", fix="for instance 5m")
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise ModelError("its port is not a number", field="url", fix="http://host:9090") from error
    shown = f"{parts.scheme}://{parts.hostname}{port}"
    base = f"{shown}{parts.path.rstrip('/')}/api/v1/query"
    headers = {"Accept": "application/json"}
    if parts.username is not None:
        from base64 import b64encode

        secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + b64encode(secret.encode()).decode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _SameServer())
    found: list[Series] = []
    for query in (q.format(window=window) for q in QUERIES):
        request = urllib.request.Request(f"{base}?{urllib.parse.urlencode({'query': query})}", headers=headers)  # noqa: S310
        found += series_of(_answer(opener, request, shown, timeout_s, max_bytes), query, shown)
    return from_series(found, shown, name=name, rate_per_s=rate_per_s)


def _answer(opener: Any, request: Any, shown: str, timeout_s: float, max_bytes: int) -> dict[str, Any]:
    try:
        with opener.open(request, timeout=timeout_s) as response:
            body = response.read(max_bytes + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise ProbeError(f"{shown} answers {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        raise ProbeError(f"{shown} does not answer: {getattr(error, 'reason', error)}") from None
    except Exception as error:  # http.client raises errors of its own for broken answers
        raise ProbeError(f"{shown} breaks off: {type(error).__name__}") from None
    if len(body) > max_bytes:
        raise ProbeError(f"{shown} answers with more than {max_bytes:,} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ProbeError(f"{shown} does not answer with JSON: is it a Prometheus server?") from None
    if not isinstance(document, dict):
        raise ProbeError(f"{shown} does not answer as Prometheus does")
    return document
