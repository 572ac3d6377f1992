"""Hosted providers by name: `preset = "groq"` stands for a base URL, a dialect and the variable of the key.

Rows with models.dev as their source were read from its `api` and `env` on 2026-11-24 (https://models.dev/api.json).
Of the others the pages of Groq, Cerebras, Cohere and DeepInfra were read; the rest name the vendor's page as the place
to look; the address of xAI, Together, Perplexity, Venice, Hyperbolic and Parasail was compared with public clients.
None was called.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from fairlead.providers.dialects import DIALECTS
from fairlead.settings import ProviderSettings, SecretSource, Settings, aws_credentials_file

MODELS_DEV = "https://models.dev"


@dataclass(frozen=True, slots=True)
class Preset:
    """One row. `base_url` may hold {region}; "" when it is the operator's own. `note`: what to know before using it."""

    id: str
    name: str
    base_url: str
    key_variable: str
    source: str = MODELS_DEV
    dialect: str = "generic"
    note: str = ""
    # Its provider stops working, and billing, when the connection closes. Source: OpenRouter's list of providers that
    # support it (https://openrouter.ai/docs/api-reference/streaming#stream-cancellation). It names as those that do
    # not: Bedrock, Groq, Modal, Google, MiniMax, Hugging Face, Replicate, Perplexity, Mistral, AI21, Featherless,
    # SambaNova, Inflection, Alibaba, Nebius, Inference.net and others. Of whom it says nothing, that is assumed too:
    # what is billed and not read is the operator's. The page was not read again when this was written: compare it with
    # your bills.
    stops_billing: bool = False

    @property
    def disconnect(self) -> Literal["cancel", "drain"]:
        """What becomes of an answer whose caller has gone: its provider stops billing when the connection closes, or
        does not, or does not say."""
        return "cancel" if self.stops_billing else "drain"


PRESETS: Mapping[str, Preset] = {
    row.id: row
    for row in (
        Preset(
            "alibaba", "Alibaba Model Studio", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            "DASHSCOPE_API_KEY", note="Singapore; mainland China is alibaba-cn",
        ),
        Preset(
            "alibaba-cn", "Alibaba Model Studio (China)", "https://dashscope.aliyuncs.com/compatible-mode/v1",
            "DASHSCOPE_API_KEY",
        ),
        Preset(
            "anthropic", "Anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY",
            "https://platform.claude.com/docs/en/api/messages", "anthropic", stops_billing=True,
        ),
        Preset(
            "azure", "Azure OpenAI", "", "AZURE_API_KEY",
            "https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference", "azure",
            "base_url is https://RESOURCE.openai.azure.com; upstream_model is the name of the deployment",
            stops_billing=True,
        ),
        Preset("baseten", "Baseten", "https://inference.baseten.co/v1", "BASETEN_API_KEY"),
        Preset(
            "bedrock", "Amazon Bedrock", "https://bedrock-runtime.{region}.amazonaws.com", "AWS_BEARER_TOKEN_BEDROCK",
            "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html", "bedrock",
            "needs region; an API key, or access_key_id and secret_access_key, which are then signed with",
        ),
        Preset(
            "cerebras", "Cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY",
            "https://inference-docs.cerebras.ai/resources/openai", "cerebras",
            "refuses penalties, logit_bias and service_tier",
        ),
        Preset("chutes", "Chutes", "https://llm.chutes.ai/v1", "CHUTES_API_KEY", stops_billing=True),
        Preset(
            "cohere", "Cohere", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY",
            "https://docs.cohere.com/docs/compatibility-api", "cohere", "refuses stream_options", stops_billing=True,
        ),
        Preset(
            "deepinfra", "DeepInfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY",
            "https://deepinfra.com/docs/openai_api", stops_billing=True,
        ),
        Preset("deepseek", "DeepSeek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", stops_billing=True),
        Preset(
            "digitalocean", "DigitalOcean", "https://inference.do-ai.run/v1", "DIGITALOCEAN_ACCESS_TOKEN",
        ),
        Preset(
            "fireworks", "Fireworks AI", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY",
            stops_billing=True,
        ),
        Preset("friendli", "Friendli", "https://api.friendli.ai/serverless/v1", "FRIENDLI_TOKEN", stops_billing=True),
        Preset(
            "gemini", "Google Gemini", "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY",
            "https://ai.google.dev/api/generate-content", "gemini",
        ),
        Preset(
            "github-models", "GitHub Models", "https://models.github.ai/inference", "GITHUB_TOKEN",
            note="upstream_model with its publisher, as openai/gpt-4.1",
        ),
        Preset("gmicloud", "GMI Cloud", "https://api.gmi-serving.com/v1", "GMICLOUD_API_KEY"),
        Preset(
            "groq", "Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "https://console.groq.com/docs/openai",
            "groq", "refuses logprobs, top_logprobs, logit_bias and n",
        ),
        Preset(
            "huggingface", "Hugging Face", "https://router.huggingface.co/v1", "HF_TOKEN",
            note="upstream_model may end with :PROVIDER",
        ),
        Preset(
            "hyperbolic", "Hyperbolic", "https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY",
            "https://docs.hyperbolic.xyz/docs/rest-api", stops_billing=True,
        ),
        Preset("inference-net", "Inference.net", "https://inference.net/v1", "INFERENCE_API_KEY"),
        Preset("io-net", "IO.NET", "https://api.intelligence.io.solutions/api/v1", "IOINTELLIGENCE_API_KEY"),
        Preset("llama", "Meta Llama API", "https://api.llama.com/compat/v1", "LLAMA_API_KEY"),
        Preset(
            "minimax", "MiniMax", "https://api.minimax.io/anthropic/v1", "MINIMAX_API_KEY", dialect="anthropic",
            note="speaks Anthropic's dialect here",
        ),
        Preset(
            "mistral", "Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "https://docs.mistral.ai/api",
            "mistral",
        ),
        Preset("moonshot", "Moonshot AI", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
        Preset("nebius", "Nebius Token Factory", "https://api.tokenfactory.nebius.com/v1", "NEBIUS_API_KEY"),
        Preset("novita", "Novita AI", "https://api.novita.ai/openai", "NOVITA_API_KEY", stops_billing=True),
        Preset("nvidia", "NVIDIA NIM", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
        Preset("ollama-cloud", "Ollama Cloud", "https://ollama.com/v1", "OLLAMA_API_KEY"),
        Preset(
            "openai", "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY",
            "https://platform.openai.com/docs/api-reference", "openai", stops_billing=True,
        ),
        Preset("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", stops_billing=True),
        Preset("ovhcloud", "OVHcloud", "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1", "OVHCLOUD_API_KEY"),
        Preset(
            "parasail", "Parasail", "https://api.parasail.io/v1", "PARASAIL_API_KEY", "https://docs.parasail.io",
        ),
        Preset(
            "perplexity", "Perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY",
            "https://docs.perplexity.ai/guides/chat-completions-guide", note="searches the web; takes no tools",
        ),
        Preset(
            "sambanova", "SambaNova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY",
            "https://docs.sambanova.ai/docs/en/features/openai-compatibility",
        ),
        Preset("scaleway", "Scaleway", "https://api.scaleway.ai/v1", "SCALEWAY_API_KEY"),
        Preset("siliconflow", "SiliconFlow", "https://api.siliconflow.com/v1", "SILICONFLOW_API_KEY"),
        Preset("stepfun", "StepFun", "https://api.stepfun.com/v1", "STEPFUN_API_KEY"),
        Preset(
            "together", "Together AI", "https://api.together.xyz/v1", "TOGETHER_API_KEY",
            "https://docs.together.ai/docs/openai-api-compatibility", stops_billing=True,
        ),
        Preset("upstage", "Upstage", "https://api.upstage.ai/v1/solar", "UPSTAGE_API_KEY"),
        Preset(
            "venice", "Venice", "https://api.venice.ai/api/v1", "VENICE_API_KEY", "https://docs.venice.ai",
        ),
        Preset("wandb", "Weights & Biases", "https://api.inference.wandb.ai/v1", "WANDB_API_KEY"),
        Preset(
            "xai", "xAI", "https://api.x.ai/v1", "XAI_API_KEY", "https://docs.x.ai/docs/api-reference",
            stops_billing=True,
        ),
        Preset("xiaomi", "Xiaomi MiMo", "https://api.xiaomimimo.com/v1", "XIAOMI_API_KEY"),
        Preset("zai", "Z.AI", "https://api.z.ai/api/paas/v4", "ZHIPU_API_KEY", note="mainland China is zhipu"),
        Preset("zhipu", "Zhipu AI", "https://open.bigmodel.cn/api/paas/v4", "ZHIPU_API_KEY"),
    )
}  # fmt: skip


def with_presets(settings: Settings, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings with what each provider leaves to its preset. Raises ConfigurationError with file and line."""
    environment = os.environ if environment is None else environment
    providers = tuple(
        _completed(given, f"providers[{at}]", settings, environment) for at, given in enumerate(settings.providers)
    )
    return msgspec.structs.replace(settings, providers=providers)


def _completed(
    given: ProviderSettings, path: str, settings: Settings, environment: Mapping[str, str]
) -> ProviderSettings:
    if given.preset is None:
        return given
    preset = PRESETS.get(given.preset)
    if preset is None:
        near = difflib.get_close_matches(given.preset, PRESETS, 1, 0.4)
        help_ = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(PRESETS)}."
        raise settings.error(f"{path}.preset", f"there is no preset {given.preset!r}; {help_}")
    region = given.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    base_url = given.base_url or preset.base_url
    if "{region}" in base_url:
        if not region:
            raise settings.error(path, f'the preset {preset.id!r} needs a region, such as "us-east-1".')
        base_url = base_url.replace("{region}", region)
    if not base_url:
        raise settings.error(path, f"'base_url' is missing here: {preset.note}.")
    api_key, access, secret, session = given.api_key, given.access_key_id, given.secret_access_key, given.session_token
    profile = given.profile
    nothing_said = api_key is None and not given.api_keys and access is None and profile is None
    if DIALECTS[preset.dialect].signs and nothing_said and not environment.get(preset.key_variable):
        # In the order of Amazon's own tools: variables, then the shared file.
        if not environment.get("AWS_ACCESS_KEY_ID") and aws_credentials_file(environment).is_file():
            profile = environment.get("AWS_PROFILE") or "default"
        else:
            access, secret = SecretSource(env="AWS_ACCESS_KEY_ID"), SecretSource(env="AWS_SECRET_ACCESS_KEY")
            session = SecretSource(env="AWS_SESSION_TOKEN") if environment.get("AWS_SESSION_TOKEN") else None
    elif nothing_said:
        api_key = SecretSource(env=preset.key_variable)
    return msgspec.structs.replace(
        given, base_url=base_url, disconnect=given.disconnect or preset.disconnect,
        dialect=given.dialect or preset.dialect, api_key=api_key, region=region or None,
        access_key_id=access, secret_access_key=secret, session_token=session, profile=profile,
    )  # fmt: skip
