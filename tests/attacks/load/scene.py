"""What the load runs on: the configuration, the accounts and the prices that every part counts with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Picodollars per token: of "0.10" and "0.30" dollars per million.
INPUT_PRICE: Final = 100_000
OUTPUT_PRICE: Final = 300_000
PROMPT_TOKENS: Final = 12
# The cap of every hostile call that has one: no provider is paid for more.
HOSTILE_CAP: Final = 200
# The credential that providers are called with: no caller may ever read it.
SECRET: Final = "sk-upstream-4f1c9a7e2b"
PRICE: Final = 'price = { input = "0.10", output = "0.30" }\n'
# The models of the hostile provider that behave: what is tested there is the customer.
SINK, SLOW, LACKING, FREE, STUBBORN = "sink", "slow", "lacking", "free", "stubborn"


@dataclass(frozen=True)
class Accounts:
    """One key of each account. `honest`: several; the others are the hostile customers'."""

    operator: str
    honest: tuple[str, ...]
    rich: str
    poor: str
    limited: str


def provider(name: str, url: str, dialect: str = "vllm", extra: str = "") -> str:
    return f'[[providers]]\nid = "{name}"\nbase_url = "{url}"\ndialect = "{dialect}"\napi_key = "{SECRET}"\n{extra}'


def model(name: str, *deployments: str) -> str:
    return f'[[models]]\nid = "{name}"\n' + "".join(f"[[models.deployments]]\n{one}" for one in deployments)


def deployment(provider_id: str, upstream: str, extra: str = "", price: str = PRICE) -> str:
    return f'provider = "{provider_id}"\nupstream_model = "{upstream}"\n{price}{extra}'


# Hostile providers must not keep a call for minutes: the load is to see many of their answers.
IMPATIENT = "first_byte_timeout_seconds = 3\nidle_timeout_seconds = 2\ntotal_timeout_seconds = 10\n"


def configuration(honest: str, hostile: str, kinds: dict[str, str]) -> str:
    """The TOML file. `kinds`: every way in which the hostile provider misbehaves, and its dialect."""
    parts = ["[routing]\nprobe_interval_seconds = 0\n"]
    parts += [provider("good", f"{honest}/v1"), provider("spare", f"{honest}/v1")]
    parts += [provider(name, f"{hostile}/{name}/v1") for name in (SINK, SLOW, LACKING, FREE, STUBBORN)]
    parts += [provider(f"evil-{kind}", f"{hostile}/{kind}/v1", dialect, IMPATIENT) for kind, dialect in kinds.items()]
    parts += [
        model("plain", deployment("good", "plain")),
        model("formless", deployment("good", "formless", 'lacks = ["json_schema", "json_object"]\n')),
        # Its first provider fails in every way that shows before the first word; the second one serves.
        model("rescued", deployment("evil-failing", "x"), deployment("spare", "plain", "priority = 1\n")),
        model(SINK, deployment(SINK, "x")),
        model(SLOW, deployment(SLOW, "x")),
        model(LACKING, deployment(LACKING, "x", 'lacks = ["json_schema", "json_object", "n"]\n')),
        model(FREE, deployment(FREE, "x", price='price = "free"\n')),
        model(STUBBORN, deployment(STUBBORN, "x")),
    ]
    parts += [model(f"evil-{kind}", deployment(f"evil-{kind}", "x")) for kind in kinds]
    return "".join(parts)
