"""Manifests and tool-platform configurations: fixtures with known answers, bad input, and the real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shared_data import data_path, needs_data

import fea_arch as fa
from fea_arch.sources.manifest import hosts_in
from fea_arch.sources.relaxed_json import parse_relaxed_json
from fea_arch.sources.variables import Variables, read_variables

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


def edges(arch: fa.Architecture) -> dict[str, str]:
    return {d.label: d.mode for d in arch.dependencies}


def write(tmp_path: Path, content: str | bytes, name: str) -> Path:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


# ---- compose


def test_compose_fixture_gives_the_declared_graph() -> None:
    arch = fa.read(FIXTURES / "configs" / "compose.yaml")
    assert arch.name == "fixture-shop"
    assert edges(arch) == {
        "web->orders": "sync",
        "web->stock": "sync",
        "web->collector": "async",
        "orders->database": "sync",
        "orders->cache": "sync",
        "orders->events": "async",
        "stock->database": "sync",
    }
    web, orders = arch["web"], arch["orders"]
    assert (web.replicas, web.memory_limit_bytes, web.servers, web.blocking) == (3, 128 * 2**20, 2, False)
    assert (orders.memory_limit_bytes, orders.servers) == (512 * 2**20, 1)
    assert arch["stock"].replicas == 2
    assert [arch[n].kind for n in ("database", "cache", "events")] == ["database", "cache", "bus"]
    assert not arch["collector"].available
    assert web.provenance["servers"].kind == "declared"
    assert arch.component_columns.codes("service_time_s").max() == 0
    assert arch.dependencies[0].provenance["target"].kind == "declared"
    assert [(load.entry, load.rate_per_s, load.measured) for load in arch.loads] == [("web", 1.0, False)]
    assert any("assumed" in n.message and n.field == "loads" for n in arch.notes)
    assert any("assumed" in n.message and n.field == "service_time_s" for n in arch.notes)


def test_compose_never_uses_the_process_environment_and_keeps_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DB_HOST", "cache")
    monkeypatch.setenv("ORDERS_ADDR", "database:1")
    arch = fa.read_compose(FIXTURES / "configs" / "compose.yaml")
    assert "orders->database" in edges(arch)
    assert "web->database" not in edges(arch)
    written = fa.write(arch, tmp_path / "a.json").read_text()
    assert "hunter2secret" not in written + repr(arch) + " ".join(map(str, arch.notes))


def test_compose_resolves_variables_from_a_given_file(tmp_path: Path) -> None:
    env = write(tmp_path, "# names\nHOST=cache\nexport ORDERS_ADDR='${HOST}:1'\nDB_HOST=${HOST}\n", "vars.txt")
    arch = fa.read_compose(FIXTURES / "configs" / "compose.yaml", env_file=env)
    # in single quotes nothing is resolved; DB_HOST leads to the cache; depends_on still leads to the database
    assert {"orders->cache", "orders->database"} <= set(edges(arch))
    with pytest.raises(fa.ModelError, match=r"vars2\.txt:1"):
        fa.read_compose(FIXTURES / "configs" / "compose.yaml", env_file=write(tmp_path, "= nothing", "vars2.txt"))


def test_compose_takes_dotenv_beside_the_file(tmp_path: Path) -> None:
    write(tmp_path, "TARGET=b:80\n", ".env")
    file = write(
        tmp_path, "services: {a: {image: x, environment: ['B_ADDR=${TARGET}']}, b: {image: y}}", "compose.yaml"
    )
    assert edges(fa.read(file)) == {"a->b": "sync"}


def test_compose_config_json_reads_like_the_yaml(tmp_path: Path) -> None:
    document = {
        "name": "shop",
        "services": {
            "web": {
                "image": "w",
                "depends_on": {"db": {"condition": "service_started", "required": True}, "gone": {"required": False}},
                "deploy": {"replicas": 2, "resources": {"limits": {"memory": "314572800", "cpus": 1.5}}},
                "environment": {"EMPTY": None, "DB_URL": "http://db:1"},
            },
            "db": {"image": "postgres"},
        },
    }
    arch = fa.read(write(tmp_path, json.dumps(document), "config.json"))
    assert edges(arch) == {"web->db": "sync"}
    assert (arch["web"].memory_limit_bytes, arch["web"].servers, arch["web"].replicas) == (314572800.0, 2, 2)


def test_circles_of_start_up_order_lose_their_gain(tmp_path: Path) -> None:
    text = "services: {a: {image: x, depends_on: [b]}, b: {image: y, depends_on: [a, c]}, "
    text += "c: {image: z, environment: {A_ADDR: 'a:1'}}}"
    arch = fa.read(write(tmp_path, text, "compose.yaml"))
    calls = {d.label: d.calls for d in arch.dependencies}
    assert calls["c->a"] == 0.0
    assert calls["a->b"] * calls["b->a"] == pytest.approx(0.25)
    assert calls["b->c"] == 1.0
    assert any("circle" in n.message for n in arch.notes)
    assert any("start-up order" in n.message for n in arch.notes)
    assert [load.entry for load in arch.loads] == ["a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: {}", "services"),
        ("services: {a: 5}", "a: is not a mapping"),
        ("services: {a: {image: x, depends_on: [b]}}", "depends on 'b'"),
        ("services: {a: {image: x, depends_on: 5}}", "depends_on"),
        ("services: {a: {image: x, environment: 5}}", "environment"),
        ("services: {a: {image: x, deploy: {replicas: -1}}}", "deploy.replicas"),
        ("services: {a: {image: x, deploy: {replicas: 1.5}}}", "deploy.replicas"),
        ("services: {a: {image: x, deploy: {resources: {limits: {memory: lots}}}}}", "memory"),
        ("services: {a: {image: x, mem_limit: .nan}}", "memory"),
        ("services: {a: {image: x, cpus: -2}}", "cpus"),
        ("services:\n  a: {image: x}\n  a: {image: y}\n", "compose.yaml:3: 'a' stands twice"),
        ("services: {a: {image: !!python/object/apply:os.system [ls]}}", "YAML"),
        ("services: {a: {image: x}", "YAML"),
        ("[1, 2]", "mapping"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8)),
            "grows",
        ),
    ],
)
def test_bad_compose_files_are_refused_with_place_and_reason(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(fa.ModelError) as caught:
        fa.read_compose(write(tmp_path, text, "compose.yaml"))
    assert words in str(caught.value)
    assert "compose.yaml" in str(caught.value)


def test_variables_follow_the_rules_of_compose() -> None:
    v = Variables({"A": "1", "EMPTY": ""})
    assert v.resolve("${A} $A ${B:-x} ${B-y} ${EMPTY:-z} ${EMPTY-z} ${A:+p} ${B+q} $$A ${B:-${A}}") == (
        "1 1 x y z  p  $A 1"
    )
    assert v.resolve("${B:?must} $") == " $"
    assert v.missing == {"B"}
    assert v.resolve("${A") == "${A"


def test_variable_files(tmp_path: Path) -> None:
    file = write(tmp_path, 'A=1 # one\nB="x # y"\nC=\nD\nE=${A}2\n', "env")
    assert read_variables(file) == {"A": "1", "B": "x # y", "C": "", "E": "12"}


@pytest.mark.parametrize(
    ("variable", "value", "hosts"),
    [
        ("DB_URL", "postgres://u:p@db:5432/x", ["db"]),
        ("X", "http://a.b.svc.cluster.local/path", ["a.b.svc.cluster.local"]),
        ("BROKERS", "k1:9092,k2:9092", ["k1", "k2"]),
        ("DB_HOST", "db", ["db"]),
        ("NAME", "db", []),
        ("LEVEL", "a:b", []),
        ("JAVA_OPTS", "-Xmx1g -Dx=http://y", []),
    ],
)
def test_hosts_are_found_in_addresses(variable: str, value: str, hosts: list[str]) -> None:
    assert hosts_in(variable, value) == hosts


# ---- Kubernetes


def test_kubernetes_fixture_resolves_addresses_through_services() -> None:
    arch = fa.read(FIXTURES / "configs" / "workloads.yaml")
    assert arch.names == ["web", "orders", "store"]
    assert set(edges(arch)) == {"web->orders", "web->store"}
    web = arch["web"]
    assert (web.replicas, web.servers, web.memory_bytes, web.memory_limit_bytes) == (3, 3, 64 * 2**20, 160 * 2**20)
    assert not arch["orders"].available
    assert arch["store"].kind == "cache"
    assert any("LOST_SERVICE_ADDR" in n.message for n in arch.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "no workload"),
        ("apiVersion: v1\nkind: Pod\nspec: {containers: []}\n", "metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", "containers"),
        (
            "apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n"
            "spec: {replicas: two, template: {spec: {containers: []}}}",
            "replicas",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{resources: {limits: {memory: -1}}}]}",
            "memory",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n---\napiVersion: v1\nkind: Pod\n"
            "metadata: {name: a}\nspec: {containers: []}\n",
            "twice",
        ),
        ("apiVersion: v1\nkind: Pod\nkind: Pod\n", ":3: 'kind' stands twice"),
    ],
)
def test_bad_kubernetes_files(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(fa.ModelError) as caught:
        fa.read_kubernetes(write(tmp_path, text, "k8s.yaml"))
    assert words in str(caught.value)


# ---- MCP and event router


def test_editor_settings_with_comments_keep_no_secrets(tmp_path: Path) -> None:
    arch = fa.read(FIXTURES / "configs" / "vscode-mcp.json")
    assert arch.names == ["mcp-client", "files", "docs", "off"]
    assert not arch["off"].available
    assert [c.kind for c in arch.components] == ["client", "mcp", "mcp", "mcp"]
    assert [d.calls for d in arch.dependencies] == [0.5, 0.5, 0.0]
    everything = fa.write(arch, tmp_path / "a.json").read_text() + repr(arch) + " ".join(map(str, arch.notes))
    assert "secret" not in everything


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"mcpServers": {}}', "names no server"),
        ('{"mcpServers": []}', "not an object"),
        ('{"mcpServers": {"a": 1}}', "a: is not an object"),
        ('{"mcpServers": {"a": {}}}', "neither a command nor a url"),
        ('{"mcpServers": {"a": {"type": "http"}}}', "has no url"),
        ('{"mcpServers": {\n"a": {"command": "x"},\n"a": {"command": "y"}}}', ":3: 'a' stands twice"),
        ('{"mcpServers": {"a": {"command": "x", }, }', "JSON"),
    ],
)
def test_bad_mcp_configurations(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(fa.ModelError) as caught:
        fa.read_mcp_config(write(tmp_path, text, "mcp.json"))
    assert words in str(caught.value)


def test_settings_of_zed(tmp_path: Path) -> None:
    text = """// settings of an editor: far more than servers
    {"theme": "One Dark", "lsp": {"command": "x"}, "context_servers": {
        "old": {"command": {"path": "old-server", "args": ["a"], "env": {"KEY": "marker-zq7"}}},
        "new": {"source": "custom", "command": "new-server", "args": [], "env": {},},
        "far": {"url": "https://docs.test/mcp"},
        "inside": {"source": "extension", "settings": {}},
        "off": {"source": "custom", "enabled": false, "command": "off-server", "args": []},
    }}"""
    arch = fa.read(write(tmp_path, text, "settings.json"))
    assert arch.names == ["mcp-client", "old", "new", "far", "inside", "off"]
    assert (arch["far"].law, arch["old"].law) == ("delay", "mmc")
    assert not arch["off"].available
    assert any("extension" in str(n) for n in arch.notes)
    assert "marker-zq7" not in fa.write(arch, tmp_path / "a.yaml").read_text()


def test_comments_inside_texts_stay() -> None:
    assert parse_relaxed_json('{"a": "x // y /* z */ ,]", /* b */ "c": [1,],}', "f") == {
        "a": "x // y /* z */ ,]",
        "c": [1],
    }


def test_event_router_resolves_handlers_by_prefix() -> None:
    arch = fa.read(FIXTURES / "event-router.json", rate_per_s=10.0)
    assert edges(arch)["context-events->route:context-update"] == "async"
    assert edges(arch)["route:context-update->cipher"] == "sync"
    assert edges(arch)["context-events->event-bus"] == "sync"
    assert sum(load.rate_per_s or 0 for load in arch.loads) == 30.0
    assert (arch["event-bus"].kind, arch["gibson"].kind, arch["byterover"].kind) == ("bus", "mcp", "cli")
    assert (arch["gibson"].safety_required, arch["cipher"].safety_required) == (3.0, 1.5)
    messages = [str(n) for n in arch.notes]
    assert sum("taken as a capability of 'cipher'" in m for m in messages) == 2
    assert sum("declared nowhere" in m for m in messages) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"eventBus": {"topics": []}, "routes": []}', "eventBus.topics"),
        ('{"eventBus": {"topics": {"a": 1}}, "routes": []}', "eventBus.topics"),
        ('{"eventBus": {}, "routes": []}', "routes"),
        ('{"eventBus": {}, "routes": [{"eventType": "a", "handlers": []}]}', "handlers"),
        ('{"eventBus": {}, "routes": [{"handlers": ["x"]}]}', "eventType"),
        ('{"eventBus": {}, "mcpServers": {"x": {"capabilities": "all"}}, "routes": [1]}', "capabilities"),
        ('{"eventBus": {}, "mcpServers": {"x": {}}, "cliTools": {"x": {}}, "routes": [1]}', "two parts"),
    ],
)
def test_bad_event_routers(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(fa.ModelError) as caught:
        fa.read_event_router(write(tmp_path, text, "router.json"))
    assert words in str(caught.value)


# ---- real files


@needs_data
def test_opentelemetry_demo() -> None:
    arch = fa.read(data_path("otel-demo", "compose.yaml"))
    assert (len(arch), arch.graph.n_edges) == (20, 46)
    assert all(c.memory_limit_bytes for c in arch.components)
    full = fa.read(data_path("otel-demo", "compose.yaml"), env_file=data_path("otel-demo", "env.txt"))
    ordered = [d for d in full.dependencies if "depends_on" in d.provenance["target"].source.split(", ")]
    assert len(ordered) == 46
    assert "checkout->cart" in edges(full)
    assert edges(full)["ad->otel-collector"] == "async"


@needs_data
@pytest.mark.parametrize(
    ("folder", "file", "components"),
    [
        ("sock-shop", "docker-compose.yml", 15),
        ("deathstarbench", "compose/hotelReservation-docker-compose.yml", 24),
        ("deathstarbench", "compose/socialNetwork-docker-compose.yml", 27),
        ("teastore-load", "docker-compose.yml", 7),
    ],
)
def test_real_compose_files(folder: str, file: str, components: int) -> None:
    arch = fa.read(data_path(folder, file))
    assert len(arch) == components
    assert not [f for f in arch.check() if f.level == "error"]


@needs_data
def test_online_boutique() -> None:
    arch = fa.read(data_path("online-boutique", "kubernetes-manifests.yaml"))
    assert len(arch) == 12
    # 17 addresses; one of them leads to a service that is not in the file
    assert arch.graph.n_edges == 16
    assert any("SHOPPING_ASSISTANT_SERVICE_ADDR" in n.message for n in arch.notes)
    assert [load.entry for load in arch.loads] == ["loadgenerator"]
    assert arch["frontend"].memory_limit_bytes == 128 * 2**20


@needs_data
def test_real_mcp_configurations() -> None:
    one = fa.read(data_path("mcp-configs", "everything-claude-code-mcp-servers.json"))
    assert sum(c.kind == "mcp" for c in one.components) == 28
    assert any("28 servers: 19 started over stdio, 9 reached over HTTP" in n.message for n in one.notes)
    many = fa.read(data_path("mcp-configs", "claude-code-templates-mcps.json"))
    assert sum(c.kind == "mcp" for c in many.components) == 100
    assert any("83 started over stdio" in n.message for n in many.notes)
