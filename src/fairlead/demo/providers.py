"""What the demonstration's gateway is configured with: invented providers, well-known models, and how both have changed
over 40 days. The providers' speeds and faults are what history and the scripted upstream are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

DAYS: Final = 40


class Provider(NamedTuple):
    """`ratio`: its prices, as a part of the model's; `delay`: how much longer its first tokens take than the model's;
    `pace`: how much faster it writes; `faults`: the share of its attempts that fail."""

    id: str
    region: str
    keeps_data: bool | None
    quantization: str | None
    ratio: str
    delay: float
    pace: float
    faults: float


class DemoModel(NamedTuple):
    """`input`, `output`, `cached`: dollars per million tokens; `first_ms`, `speed`: medians of the time to the first
    token and of tokens per second; `share`: of all calls; `since`: the day on which it was added; `reasoning`: the
    part of its answers that is reasoning."""

    id: str
    upstream: str
    providers: tuple[str, ...]
    input: str
    output: str
    cached: str | None
    first_ms: float
    speed: float
    share: float
    since: int = 0
    reasoning: float = 0.0


PROVIDERS: Final = (
    Provider("hopper", "eu", False, "fp8", "0.80", 0.85, 1.00, 0.003),
    Provider("nordwind", "eu", False, "bf16", "1.10", 1.10, 0.90, 0.004),
    Provider("kestrel", "us", False, "fp8", "1.35", 0.55, 2.40, 0.006),
    Provider("lagoon", "ap", True, "fp4", "0.70", 1.90, 0.75, 0.018),
    Provider("meridian", "us", None, None, "1.00", 1.00, 1.00, 0.005),
    Provider("aurora", "eu", False, None, "1.05", 1.15, 1.05, 0.003),
)

MODELS: Final = (
    DemoModel("gpt-oss-120b", "openai/gpt-oss-120b", ("hopper", "kestrel", "lagoon"), "0.10", "0.45", "0.02",
              240, 105, 0.15, reasoning=0.35),
    DemoModel("llama-3.3-70b-instruct", "meta-llama/Llama-3.3-70B-Instruct",
              ("hopper", "nordwind", "kestrel", "lagoon"), "0.13", "0.40", None, 310, 62, 0.17),
    DemoModel("mistral-small-3.2", "mistralai/Mistral-Small-3.2-24B-Instruct-2506", ("hopper", "nordwind", "lagoon"),
              "0.10", "0.30", None, 190, 88, 0.14),
    DemoModel("gemini-2.5-flash", "gemini-2.5-flash", ("meridian", "aurora"), "0.30", "2.50", "0.03",
              420, 150, 0.12, reasoning=0.2),
    DemoModel("claude-sonnet-4-6", "claude-sonnet-4-6", ("meridian", "aurora"), "3.00", "15.00", "0.30",
              890, 68, 0.10, reasoning=0.1),
    DemoModel("deepseek-v3.2", "deepseek-ai/DeepSeek-V3.2", ("nordwind", "kestrel", "lagoon"), "0.27", "0.41", "0.03",
              520, 48, 0.09),
    DemoModel("qwen3-235b-a22b-2507", "Qwen/Qwen3-235B-A22B-Instruct-2507", ("nordwind", "kestrel", "lagoon"),
              "0.15", "0.60", None, 450, 55, 0.06),
    DemoModel("gpt-5-mini", "gpt-5-mini", ("meridian", "aurora"), "0.25", "2.00", "0.025", 640, 92, 0.06,
              reasoning=0.4),
    DemoModel("gemma-3-27b-it", "google/gemma-3-27b-it", ("hopper", "lagoon"), "0.09", "0.20", None, 230, 58, 0.04),
    DemoModel("glm-4.6", "zai-org/GLM-4.6", ("nordwind", "kestrel"), "0.50", "1.90", "0.09", 560, 64, 0.04,
              since=9, reasoning=0.3),
    DemoModel("qwen3-coder", "Qwen/Qwen3-Coder-480B-A35B-Instruct", ("kestrel", "lagoon"), "0.25", "1.80", None,
              480, 74, 0.07, since=18),
    DemoModel("kimi-k2.6", "moonshotai/Kimi-K2.6", ("kestrel", "nordwind"), "0.80", "3.50", "0.16", 600, 58, 0.06,
              since=24, reasoning=0.25),
)  # fmt: skip

BY_PROVIDER: Final = {one.id: one for one in PROVIDERS}


class Version(NamedTuple):
    """A version of the configuration. `day`, `hour`: when it was applied; `factors`: of prices that have changed, by
    deployment; `without`: deployments that are not there (yet)."""

    day: int
    hour: float
    author: str
    comment: str
    factors: Mapping[str, str] = MappingProxyType({})
    without: frozenset[str] = frozenset()
    strategy: str = "balanced"
    restores: int | None = None


LLAMA_AT_LAGOON: Final = "lagoon/meta-llama/Llama-3.3-70B-Instruct"
_DEEPSEEK: Final = {
    "nordwind/deepseek-ai/DeepSeek-V3.2": "0.85",
    "kestrel/deepseek-ai/DeepSeek-V3.2": "0.90",
}
_SMALL: Final = {"hopper/mistralai/Mistral-Small-3.2-24B-Instruct-2506": "0.75"}
_SONNET: Final = {"aurora/claude-sonnet-4-6": "0.95"}
VERSIONS: Final = (
    Version(0, 0.0, "mara", "First configuration: own GPUs, two hosts in Europe, one in the US",
            without=frozenset({LLAMA_AT_LAGOON})),
    Version(4, 9.6, "mara", "Llama 3.3 70B at Lagoon too, as the cheapest fallback"),
    Version(9, 13.2, "theo", "Add GLM 4.6"),
    Version(15, 8.5, "mara", "Own GPUs: the price of Mistral Small goes down by a quarter", _SMALL),
    Version(18, 10.1, "theo", "Add Qwen3 Coder for the coding agents", _SMALL),
    Version(24, 9.3, "theo", "Add Kimi K2.6", _SMALL),
    Version(27, 14.8, "theo", "Try the fastest deployment first", _SMALL, strategy="throughput"),
    Version(27, 15.4, "mara", "Back to balanced: costs rose", _SMALL, restores=6),
    Version(31, 7.9, "mara", "New prices for DeepSeek V3.2", _SMALL | _DEEPSEEK),
    Version(37, 11.7, "mara", "Aurora lowers the price of Claude Sonnet 4.6", _SMALL | _DEEPSEEK | _SONNET),
)  # fmt: skip


def deployment_id(model: DemoModel, provider: str) -> str:
    return f"{provider}/{model.upstream}"


def document(version: Version, address: str) -> str:
    """The configuration as TOML. `address`: where the scripted upstream listens, such as "http://127.0.0.1:8090"."""
    return "\n".join(_lines(version, address))


def _lines(version: Version, address: str) -> Iterator[str]:
    yield "[routing]"
    yield f'strategy = "{version.strategy}"'
    for provider in PROVIDERS:
        yield "\n[[providers]]"
        yield f'id = "{provider.id}"'
        yield f'base_url = "{address}/{provider.id}/v1"'
        yield 'dialect = "vllm"' if provider.quantization else 'dialect = "generic"'
    for model in MODELS:
        if model.since > version.day:
            continue
        yield "\n[[models]]"
        yield f'id = "{model.id}"'
        for name in model.providers:
            id_ = deployment_id(model, name)
            if id_ not in version.without:
                yield from _deployment(model, BY_PROVIDER[name], version.factors.get(id_, "1"))


def _deployment(model: DemoModel, provider: Provider, factor: str) -> Iterator[str]:
    yield "\n[[models.deployments]]"
    yield f'provider = "{provider.id}"'
    yield f'upstream_model = "{model.upstream}"'
    yield f'region = "{provider.region}"'
    if provider.keeps_data is not None:
        yield f"keeps_data = {str(provider.keeps_data).lower()}"
    if provider.quantization is not None:
        yield f'quantization = "{provider.quantization}"'
    ratio = Decimal(provider.ratio) * Decimal(factor)
    yield f"cost = {_rates(model, ratio * Decimal('0.8'))}"
    yield f"price = {_rates(model, ratio)}"


def _rates(model: DemoModel, ratio: Decimal) -> str:
    given = {"input": model.input, "output": model.output, "cached_input": model.cached}
    shown = [f'{name} = "{_rounded(Decimal(rate) * ratio):f}"' for name, rate in given.items() if rate]
    return f"{{ {', '.join(shown)} }}"


def _rounded(rate: Decimal) -> Decimal:
    """To the cent, small ones to a tenth of it."""
    return rate.quantize(Decimal("0.01") if rate >= Decimal("0.1") else Decimal("0.001"))
