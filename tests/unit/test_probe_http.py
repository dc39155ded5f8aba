from __future__ import annotations

import asyncio
import builtins
import shutil
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue

import pytest

from fea_arch.errors import MissingExtraError, ModelError, ProbeError
from fea_arch.probes import load_test, probe_http

pytest.importorskip("httpx", reason="httpx is not installed")
MARKER = "zq7-marker-secret-zq7"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/slow"):
            time.sleep(3)
        time.sleep(0.02)
        status = 503 if self.path.startswith("/down") else 200
        self.server.seen.append((self.path, self.headers.get("X-Token")))
        self.send_response(status)
        self.send_header("Content-Length", "2" if "huge" not in self.path else str(1 << 30))
        self.end_headers()
        if not self.path.startswith("/slow"):
            self.wfile.write(b"ok")
        if "huge" in self.path:
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.seen = True, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def base(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_latency_and_status(base):
    found = probe_http("api", f"{base}/x", samples=5)
    assert found.ok
    assert len(found.latency_s) == 5
    assert all(0.02 <= t < 1 for t in found.latency_s)
    assert found.details["status"] == {"200": 7}
    assert found.details["http_version"] == "HTTP/1.1"


def test_failures_are_measurements(base):
    assert "status of 400" in probe_http("api", f"{base}/down", samples=2).errors[0]
    assert not probe_http("api", f"{base}/slow", samples=1, timeout_s=0.3).ok
    assert "bytes of body" in probe_http("api", f"{base}/huge", samples=1, max_body_bytes=100_000).errors[0]
    assert not probe_http("api", "http://127.0.0.1:9", samples=1, timeout_s=1).ok


def test_secrets_are_sent_but_not_stored(base, server):
    url = f"{base}/x?key={MARKER}".replace("://", f"://user:{MARKER}@")
    found = probe_http("api", url, samples=1, headers={"X-Token": MARKER})
    assert server.seen[-1] == (f"/x?key={MARKER}", MARKER)
    assert MARKER not in repr(found)
    dead = probe_http("api", f"http://user:{MARKER}@127.0.0.1:9/?k={MARKER}", samples=1, timeout_s=1)
    assert MARKER not in repr(dead)
    test = load_test(url, (1,), duration_s=0.2, warmup_s=0, headers={"X-Token": MARKER})
    assert MARKER not in repr(test) + str(test.to_dict())


def test_no_request_starves_with_many_in_flight():
    # three workers of 10 ms behind an event loop, 64 requests in flight: the generator must keep all three busy
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    ports: SimpleQueue[int] = SimpleQueue()
    loop = asyncio.new_event_loop()

    async def serve():
        workers = asyncio.Semaphore(3)

        async def handle(reader, writer):
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await reader.readuntil(b"\r\n\r\n"):
                    async with workers:
                        await asyncio.sleep(0.01)
                    writer.write(answer)
            writer.close()

        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            ports.put(server.sockets[0].getsockname()[1])
            await stop.wait()
        await asyncio.sleep(0.1)  # the connections end with the clients

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        address = f"http://127.0.0.1:{ports.get()}/"
        few, many = load_test(address, (4, 64), duration_s=1.0, warmup_s=0.5)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
    # with a shared pool of connections: half the throughput, and some wait five times as long as the median
    assert many.throughput_per_s > 0.7 * few.throughput_per_s
    assert many.max_s < 3.5 * many.p50_s


def test_tls_and_its_certificate(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
         str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.seen = True, []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"https://127.0.0.1:{server.server_address[1]}/x"
        strict = probe_http("api", url, samples=1, timeout_s=5)
        assert not strict.ok
        assert "CERTIFICATE_VERIFY_FAILED" in strict.errors[0]
        found = probe_http("api", url, samples=3, verify=False)
        assert found.ok, found.errors
        assert found.details["tls"] in ("TLSv1.2", "TLSv1.3")
    finally:
        server.shutdown()
        server.server_close()


def test_bad_arguments(base, monkeypatch):
    with pytest.raises(ModelError, match="http address"):
        probe_http("api", "ftp://x")
    with pytest.raises(ModelError, match="GET, HEAD"):
        probe_http("api", base, method="DELETE")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "httpx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"fea-arch\[probe\]"):
        probe_http("api", base)


def test_load_test_of_an_address(base):
    # the window is long against the requests that its ends cut through, whose share is the error of Little's law
    test = load_test(f"{base}/x", (1, 4), duration_s=3.0, warmup_s=0.1, rates=(40,))
    for point in test:
        assert point.errors == 0
        assert abs(point.little_error) < 0.15
    assert test[1].throughput_per_s > 2.5 * test[0].throughput_per_s
    with pytest.raises(ProbeError, match="does not answer"):
        load_test("http://127.0.0.1:9/", (1,), duration_s=0.2)
    with pytest.raises(ModelError, match="nothing was answered"):
        load_test(f"{base}/down", (1,), duration_s=0.2)
