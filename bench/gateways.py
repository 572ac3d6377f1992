"""The gateways that the benchmark can start: one function each, listed in GATEWAYS at the end.

To adapt one (another flag, another setting), change its function only. A function prepares what the gateway needs
(configuration, key) and returns how to start and how to call it; it leaves no process running.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = HERE / "build"
CHAT = "/v1/chat/completions"
# What the mock speaks at a port of its own, each answered at once; and the dialect that Fairlead calls it with.
VENDORS = {"messages": "anthropic", "responses": "openai-responses", "gemini": "gemini"}
PACES = {"burst": 0, "paced": 10_000, "slow": 1_000_000}  # microseconds between two events of a stream
LITELLM = "litellm[proxy]==1.106.2"
PORTKEY_VERSION = "1.15.2"


class NotInstalledError(Exception):
    """A gateway cannot be started here; the text says what to install or set."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The mock provider: one port for each pace, and one for each of VENDORS."""

    ports: Mapping[str, int]
    vendors: Mapping[str, int]

    def url(self, name: str) -> str:
        """Of a pace or a vendor."""
        return f"http://127.0.0.1:{self.ports.get(name) or self.vendors[name]}/v1"


@dataclass(frozen=True, slots=True)
class Route:
    """How a client of this gateway reaches the mock at one pace."""

    port: int
    path: str = CHAT
    model: str = "mock-model"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gateway:
    """How to start a gateway (`argv` is empty: nothing to start) and how to call it."""

    name: str
    routes: Mapping[str, Route]
    argv: Sequence[str] = ()
    cwd: Path = HERE
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a run keeps its configurations, keys and data, and the mock that it serves from."""

    work: Path
    upstream: Upstream


def free_port() -> int:
    """A port below the ephemeral range, so that no outgoing connection takes it before the gateway listens."""
    for _ in range(100):
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port between 20000 and 30000")


def direct(site: Site) -> Gateway:
    """The mock itself: the floor of latency."""
    return Gateway("direct", {pace: Route(port) for pace, port in site.upstream.ports.items()})


def fairlead(site: Site) -> Gateway:
    """The product, by its public commands only. `paced-vllm` is the paced stream through another dialect row."""
    return _fairlead(site, {pace: (pace, "generic") for pace in PACES} | {"paced-vllm": ("paced", "vllm")})


def fairlead_to_vendors(site: Site) -> Gateway:
    """The product in front of a mock that speaks each dialect; `burst` speaks chat completions. Every receipt has
    digests: they cost each API the same."""
    dialects = {"burst": ("burst", "generic")} | {name: (name, VENDORS[name]) for name in VENDORS}
    return _fairlead(site, dialects, more='[ledger]\ndigests = "conversations"\n')


def fairlead_with_data(site: Site, data: Path) -> Gateway:
    """The product on a data directory that is there already; it has one route."""
    return _fairlead(site, {"burst": ("burst", "generic")}, data)


def _fairlead(site: Site, dialects: Mapping[str, tuple[str, str]], data: Path | None = None, more: str = "") -> Gateway:
    """`dialects`: of each route the port of the mock, and the dialect that it is called with. `more`: settings."""
    config, port = site.work / ("fairlead.toml" if data is None else f"{data.name}.toml"), free_port()
    data = data or site.work / "fairlead"
    tables = ["[server]\nmax_connections = 20000\nmax_requests_in_flight = 20000\n", more]
    for name, (at, dialect) in dialects.items():
        tables.append(
            f'[[providers]]\nid = "{name}"\nbase_url = "{site.upstream.url(at)}"\ndialect = "{dialect}"\n'
            'api_key = "sk-upstream"\nmax_connections = 20000\n'
        )
    tables += [
        f'[[models]]\nid = "bench-{name}"\n[[models.deployments]]\nprovider = "{name}"\n'
        'upstream_model = "mock-model"\nprice = { input = "1.00", output = "2.00" }\n'
        for name in dialects
    ]
    config.write_text("\n".join(tables))
    cli = [str(ROOT / ".venv/bin/fairlead"), "keys", "create", "--name", "bench", "--data", str(data)]
    cli += ["--credit", "1000000"]
    made = subprocess.run(cli, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    if made.returncode or not made.stdout.strip():
        raise NotInstalledError(f"fairlead: {' '.join(cli)} gave {made.returncode}: {made.stderr[-1000:]}")
    bearer = {"Authorization": f"Bearer {made.stdout.strip().splitlines()[-1].strip()}"}
    argv = [str(ROOT / "script/serve"), "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--data", str(data), "--config", str(config), "--no-engine"]
    return Gateway("fairlead", {name: Route(port, CHAT, f"bench-{name}", bearer) for name in dialects}, argv, ROOT)


def nginx(site: Site) -> Gateway:
    """A bare reverse proxy: no key, no JSON, no ledger. The floor of what a proxy costs, not an equal."""
    binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not binary:
        raise NotInstalledError("nginx: not found; on Debian: apt-get install nginx-light")
    port, work = free_port(), site.work
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {work}/nginx-{kind};" for kind in kinds)
    keep = "keepalive 6000; keepalive_requests 100000000;"
    ports = site.upstream.ports
    upstreams = "".join(f"upstream {pace} {{ server 127.0.0.1:{ports[pace]}; {keep} }}" for pace in PACES)
    locations = "".join(
        f"location /{pace}/ {{ proxy_pass http://{pace}/; proxy_http_version 1.1; "
        'proxy_set_header Connection ""; proxy_buffering off; }'
        for pace in PACES
    )
    config = work / "nginx.conf"
    config.write_text(
        f"worker_processes 1; daemon off; pid {work}/nginx.pid; error_log stderr warn; worker_rlimit_nofile 20000;"
        "events { worker_connections 20000; }"
        "http { access_log off; client_max_body_size 20m; client_body_buffer_size 2m; keepalive_requests 100000000;"
        f"{temporary}{upstreams} server {{ listen 127.0.0.1:{port} backlog=4096; {locations} }} }}\n"
    )
    argv = [binary, "-e", "stderr", "-p", str(work), "-c", str(config)]
    return Gateway("nginx", {pace: Route(port, f"/{pace}{CHAT}") for pace in PACES}, argv)


def litellm(site: Site) -> Gateway:
    """LiteLLM's proxy from a virtual environment of its own: one worker, no database, production mode."""
    venv = BUILD / "litellm"
    if not (venv / "bin/litellm").exists():
        print(f"installing {LITELLM} into {venv} (some minutes) ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        pip = [str(venv / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, LITELLM], check=True)
    config, port = site.work / "litellm.yaml", free_port()
    models = [
        {
            "model_name": f"bench-{pace}",
            "litellm_params": {
                "model": "openai/mock-model",
                "api_base": site.upstream.url(pace),
                "api_key": "sk-upstream",
                "input_cost_per_token": 0.000001,
                "output_cost_per_token": 0.000002,
            },
        }
        for pace in PACES
    ]
    settings = {
        "model_list": models,
        "general_settings": {"master_key": "sk-bench-1234"},
        "litellm_settings": {"set_verbose": False, "request_timeout": 600},
    }
    config.write_text(json.dumps(settings))  # JSON is YAML
    env = {"LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    env |= {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    argv = [str(venv / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    bearer = {"Authorization": "Bearer sk-bench-1234"}
    routes = {pace: Route(port, CHAT, f"bench-{pace}", bearer) for pace in PACES}
    return Gateway("litellm", routes, [*argv, "--num_workers", "1"], site.work, env)


def portkey(site: Site) -> Gateway:
    """Portkey's gateway on Node: no key check, no ledger."""
    folder = BUILD / "portkey"
    server = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not server.exists():
        install_portkey(folder)
    port = free_port()
    base = {"x-portkey-provider": "openai", "Authorization": "Bearer sk-upstream"}
    headers = {pace: {**base, "x-portkey-custom-host": site.upstream.url(pace)} for pace in PACES}
    routes = {pace: Route(port, headers=headers[pace]) for pace in PACES}
    argv = ["node", str(server), "--headless", f"--port={port}"]
    return Gateway("portkey", routes, argv, folder, {"NODE_ENV": "production"})


def install_portkey(folder: Path) -> None:
    """Installs Portkey with npm and fixes its streams.

    As released, every stream fails on Node 20 ("TypeError: immutable"): its HTTP server hands out headers that cannot
    be changed. Copying them, one condition, fixes it; without that there is nothing to compare.
    """
    if not shutil.which("npm"):
        raise NotInstalledError("portkey: needs Node.js with npm")
    folder.mkdir(parents=True, exist_ok=True)
    package = {
        "dependencies": {"@portkey-ai/gateway": PORTKEY_VERSION},
        "overrides": {"@hono/node-server": "1.14.4", "hono": "4.9.7"},
    }
    (folder / "package.json").write_text(json.dumps(package))
    print(f"installing @portkey-ai/gateway {PORTKEY_VERSION} into {folder} ...", file=sys.stderr)
    subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
    for name in ("index.js", "index.mjs"):
        file = folder / "node_modules/@hono/node-server/dist" / name
        file.write_text(file.read_text().replace("if (!(cache[2] instanceof Headers)) {", "if (true) {"))


GATEWAYS: Mapping[str, Callable[[Site], Gateway]] = {
    "direct": direct,
    "nginx": nginx,
    "fairlead": fairlead,
    "litellm": litellm,
    "portkey": portkey,
}
