"""LiteLLM's words, and what each means here. A word that is in none of these tables is one that LiteLLM does not know.

Sources: "All settings" of LiteLLM's documentation and `litellm/types/router.py`, read on 2026-11-30.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Literal

import msgspec


class Vendor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of vendors.toml."""

    preset: str = ""
    dialect: str = ""
    variable: str = ""
    base_url: str = ""
    path: str = ""
    address: Literal["", "resource", "region", "project"] = ""
    hosts: tuple[str, ...] = ()
    catalogue: str = ""
    closed: bool = False
    link: str = ""
    local: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vendors: dict[str, Vendor]
    bare: dict[str, str]
    modes: dict[str, str]


_FILE = msgspec.toml.decode((files(__package__) / "vendors.toml").read_bytes(), type=_File)
VENDORS: Mapping[str, Vendor] = _FILE.vendors
BARE = tuple((re.compile(pattern), vendor) for vendor, pattern in _FILE.bare.items())
MODES: Mapping[str, str] = _FILE.modes
# Keys that people write for servers that want none.
NO_KEY = frozenset({"", "none", "null", "empty", "fake", "fake-key", "dummy", "na", "n/a", "not-needed", "no-key"})

# Prices per token: the class here, and the tokens above which it holds.
PRICES: Mapping[str, tuple[str, int | None]] = {
    "input_cost_per_token": ("input", None),
    "output_cost_per_token": ("output", None),
    "cache_read_input_token_cost": ("cached_input", None),
    "cache_creation_input_token_cost": ("cache_write_5m", None),
    "cache_creation_input_token_cost_above_1hr": ("cache_write_1h", None),
    "input_cost_per_audio_token": ("audio_input", None),
    "output_cost_per_audio_token": ("audio_output", None),
    "output_cost_per_reasoning_token": ("reasoning", None),
    "input_cost_per_image_token": ("image", None),
    "input_cost_per_character": ("input", None),
    "input_cost_per_second": ("audio_input", None),
    "input_cost_per_token_above_128k_tokens": ("input", 128_000),
    "output_cost_per_token_above_128k_tokens": ("output", 128_000),
    "input_cost_per_token_above_200k_tokens": ("input", 200_000),
    "output_cost_per_token_above_200k_tokens": ("output", 200_000),
    "cache_read_input_token_cost_above_200k_tokens": ("cached_input", 200_000),
    "cache_creation_input_token_cost_above_200k_tokens": ("cache_write_5m", 200_000),
}
# Prices per call, in dollars.
PRICES_PER_CALL = ("input_cost_per_query", "input_cost_per_request")

NO_DEFAULTS = "a default that LiteLLM adds to requests: let callers send it"
# Parameters of a deployment that have no counterpart: why, and what to do.
PARAMS_NOT_MAPPED: Mapping[str, str] = {
    "organization": "no header of an organization is sent: use a key that belongs to this organization",
    "max_retries": "retries are one setting for all, `retries` of [routing]",
    "num_retries": "retries are one setting for all, `retries` of [routing]",
    "cooldown_time": "circuit breakers measure failures and need no setting",
    "tags": "there are no tags: name deployments with `provider.only` in a request, or give models names of their own",
    "tag_regex": "there are no tags",
    "max_budget": "providers have no budget: give budgets to accounts and keys",
    "budget_duration": "providers have no budget: give budgets to accounts and keys",
    "configurable_clientside_auth_params": "callers cannot choose addresses and keys of providers",
    "litellm_trace_id": "OpenTelemetry's ids are used",
    "use_in_pass_through": "there are no pass-through endpoints: every API is served for every model",
    "use_chat_completions_api": "not needed: requests are translated for the provider",
    "use_litellm_proxy": "name the other gateway as `litellm_proxy/MODEL` with its api_base",
    "merge_reasoning_content_in_choices": "reasoning is returned in a member of its own",
    "mock_response": "there are no invented answers: use the demonstration model",
    "azure_ad_token": "tokens of Microsoft Entra are not supported: use an API key of the resource",
    "tenant_id": "tokens of Microsoft Entra are not supported: use an API key of the resource",
    "client_id": "tokens of Microsoft Entra are not supported: use an API key of the resource",
    "client_secret": "tokens of Microsoft Entra are not supported: use an API key of the resource",
    "azure_scope": "tokens of Microsoft Entra are not supported: use an API key of the resource",
    "azure_username": "tokens of Microsoft Entra are not supported: use an API key of the resource",
    "azure_password": "tokens of Microsoft Entra are not supported: use an API key of the resource",
    "aws_role_name": "roles are not assumed: use keys, a profile, or a Bedrock API key",
    "aws_session_name": "roles are not assumed: use keys, a profile, or a Bedrock API key",
    "aws_web_identity_token": "roles are not assumed: use keys, a profile, or a Bedrock API key",
    "aws_sts_endpoint": "roles are not assumed: use keys, a profile, or a Bedrock API key",
    "aws_external_id": "roles are not assumed: use keys, a profile, or a Bedrock API key",
    "vertex_credentials": "service accounts are not read: put an access token into VERTEX_ACCESS_TOKEN "
    "(`gcloud auth print-access-token`; it lasts an hour), or use `preset = \"gemini\"` with an API key",
    "extra_headers": "headers for one deployment cannot be set",
    "headers": "headers for one deployment cannot be set",
    "extra_body": NO_DEFAULTS,
    "stream": NO_DEFAULTS,
    "stop": NO_DEFAULTS,
    "user": NO_DEFAULTS,
    "n": NO_DEFAULTS,
    "response_format": NO_DEFAULTS,
    "tools": NO_DEFAULTS,
    "reasoning_effort": NO_DEFAULTS,
    "thinking": NO_DEFAULTS,
    "input_cost_per_image": "images are priced by their pixels, as `request` of a price: set it",
    "output_cost_per_image": "images are priced by their pixels, as `request` of a price: set it",
    "output_cost_per_second": "seconds of an answer have no price: set `output` or `request` of a price",
    "output_cost_per_character": "characters of an answer have no price: set `output` of a price",
    "auto_router_config_path": "there is no router by meaning: callers name the model",
    "auto_router_config": "there is no router by meaning: callers name the model",
    "auto_router_default_model": "there is no router by meaning: callers name the model",
    "auto_router_embedding_model": "there is no router by meaning: callers name the model",
    "guardrails": "there are no guardrails: call them before the gateway",
    "model_info": "LiteLLM reads `model_info` beside `litellm_params`",
}  # fmt: skip
# Defaults of sampling: `defaults` of a model.
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "seed")
# Parameters that are mapped: see `params.py`.
PARAMS_MAPPED = frozenset({
    "model", "custom_llm_provider", "api_base", "base_url", "api_key", "api_version", "vertex_project",
    "vertex_location", "vertex_ai_project", "vertex_ai_location", "region_name", "aws_access_key_id",
    "aws_secret_access_key", "aws_session_token", "aws_region_name", "aws_profile_name", "aws_bedrock_runtime_endpoint",
    "rpm", "tpm", "timeout", "stream_timeout", "max_tokens", "max_completion_tokens", "weight", "order",
    "max_parallel_requests", "drop_params", "additional_drop_params", "litellm_credential_name", *SAMPLING, *PRICES,
    *PRICES_PER_CALL,
})  # fmt: skip

INFO_ONLY = "only shown by LiteLLM's /model/info"
INFO_NOT_MAPPED: Mapping[str, str] = {
    "id": "deployments are named by their provider and model",
    "base_model": "used only to find the price; name the model of the catalogue as `id` to get its facts",
    "tier": INFO_ONLY,
    "team_id": "restrict keys to models instead (`fairlead keys create --model`)",
    "team_public_model_name": "restrict keys to models instead (`fairlead keys create --model`)",
    "access_groups": "restrict keys to models instead (`fairlead keys create --model`)",
    "health_check_model": "probes use the deployment itself",
    "health_check_timeout": "probes use the timeouts of the provider",
    "disable_background_health_check": 'set `probe = "off"` at the deployment',
    "supported_openai_params": "the dialect of the provider has them; `parameters` of a deployment overrides it",
}

LITELLM_NOT_MAPPED: Mapping[str, str] = {
    "cache": "answers are not cached; prompt caches of providers are kept warm by session",
    "cache_params": "answers are not cached; prompt caches of providers are kept warm by session",
    "content_policy_fallbacks": "a refusal is an answer and is returned: callers may name `models` in the request",
    "allowed_fails": "circuit breakers measure failures and need no setting",
    "modify_params": "requests are translated for each provider as far as it can take them; the rest is refused",
    "set_verbose": "logs have one level",
    "json_logs": "logs are lines of text",
    "turn_off_message_logging": "contents of calls are never logged",
    "redact_user_api_key_info": "keys are never logged",
    "redact_messages_in_exceptions": "contents of calls are never logged",
    "langfuse_default_tags": "spans go to an OpenTelemetry receiver: `otlp_endpoint` of [telemetry]",
    "force_ipv4": "the system chooses the family of addresses",
    "ssl_verify": "certificates are always verified; add yours to the system's authorities",
    "telemetry": "nothing is sent to the authors",
    "max_budget": "give budgets to accounts and keys",
    "budget_duration": "give budgets to accounts and keys",
    "max_internal_user_budget": "give budgets to accounts and keys",
    "internal_user_budget_duration": "give budgets to accounts and keys",
    "max_end_user_budget": "give budgets to accounts and keys",
    "default_internal_user_params": "give limits to accounts and keys",
    "default_team_settings": "give limits to accounts and keys",
    "default_team_params": "give limits to accounts and keys",
    "default_key_generate_params": "give limits to keys when they are created",
    "upperbound_key_generate_params": "give limits to keys when they are created",
    "key_generation_settings": "only the operator creates keys",
    "public_model_groups": "every key that may call a model sees it",
    "model_alias_map": "use model_group_alias of router_settings, which is imported",
    "custom_provider_map": "Python code of LiteLLM is not run: put the server behind an address of OpenAI's kind",
    "mcp_aliases": "tools by MCP are not served",
    "guardrails": "there are no guardrails: call them before the gateway",
    "tag_budget_config": "there are no tags: give budgets to accounts and keys",
    "enable_preview_features": "there are no previews to enable",
    "enable_json_schema_validation": "answers are checked against the schema where a deployment cannot do it itself",
    "enable_key_alias_format_validation": "names of keys are free text",
    "disable_end_user_cost_tracking": "usage is always recorded",
    "disable_end_user_cost_tracking_prometheus_only": "metrics have no end users",
    "disable_add_transform_inline_image_block": "images are sent as they come",
    "disable_hf_tokenizer_download": "nothing is downloaded",
    "disable_copilot_system_to_assistant": "roles are not changed",
    "use_chat_completions_url_for_anthropic_messages": "not needed: requests are translated for the provider",
    "default_vertex_config": "name project and location at the models",
    "add_function_to_prompt": "tools are not put into prompts",
    "suppress_debug_info": "logs have one level",
    "s3_callback_params": "usage is exported by `fairlead usage export`",
    "ssl_certificate": "client certificates are not sent",
    "forward_traceparent_to_llm_provider": "traces end at the gateway",
    "cost_discount_config": "set the `markup` of models",
    "cost_margin_config": "set the `markup` of models",
    "store_audit_logs": "changes are always recorded",
    "prometheus_metrics_config": "the metrics are fixed: see the reference of metrics",
    "custom_prometheus_metadata_labels": "the metrics are fixed: see the reference of metrics",
}
CALLBACK_LISTS = ("callbacks", "success_callback", "failure_callback", "service_callbacks", "audit_log_callbacks")
# Callbacks by name: what does their work here.
_SPANS = "spans go to an OpenTelemetry receiver: `otlp_endpoint` of [telemetry]"
_NO_GUARDRAILS = "there are no guardrails: call them before the gateway"
CALLBACKS: Mapping[str, str] = {
    name: instead
    for words, instead in (
        ("prometheus prometheus_system", "GET /metrics serves Prometheus without a setting"),
        ("otel opentelemetry", "set `otlp_endpoint` of [telemetry]"),
        (
            (
                "langfuse langfuse_otel langsmith datadog datadog_llm_observability arize arize_phoenix weave_otel "
                "logfire traceloop levo braintrust opik helicone lunary mlflow athina argilla galileo humanloop "
                "literalai greenscale promptlayer wandb supabase deepeval agentops newrelic"
            ),
            _SPANS,
        ),
        (
            (
                "s3 s3_v2 gcs_bucket gcs_pubsub azure_storage dynamodb generic_api cloudzero openmeter lago "
                "logging_only sqs focus"
            ),
            "usage is exported by `fairlead usage export`",
        ),
        ("sentry slack posthog email smtp_email resend_email", "alert on the metrics instead (docs/guides/monitor.md)"),
        (
            (
                "presidio lakera_prompt_injection detect_prompt_injection llamaguard_moderations hide_secrets aporia "
                "google_text_moderation openai_moderations banned_keywords blocked_user_check"
            ),
            _NO_GUARDRAILS,
        ),
        (
            "max_parallel_request_limiter dynamic_rate_limiter dynamic_rate_limiter_v2 batch_rate_limiter",
            "give limits to keys and models",
        ),
    )
    for name in words.split()
}

ROUTER_NOT_MAPPED: Mapping[str, str] = {
    **dict.fromkeys(
        ("redis_host", "redis_port", "redis_password", "redis_url", "redis_db", "cache_kwargs"),
        "nodes share their state by PostgreSQL (`url` of [database]); a Valkey or Redis server (`valkey` of [limits]) "
        "lets limits hold over all of them",
    ),
    **dict.fromkeys(
        ("allowed_fails", "cooldown_time", "disable_cooldowns", "allowed_fails_policy"),
        "circuit breakers measure failures and need no setting",
    ),
    **dict.fromkeys(("enable_tag_filtering", "tag_filtering_match_any", "tag_routing_prefix"), "there are no tags"),
    "content_policy_fallbacks": LITELLM_NOT_MAPPED["content_policy_fallbacks"],
    "retry_policy": "what may be retried is decided by the error; `retries` of [routing] is the number of rounds",
    "model_group_retry_policy": "what may be retried is decided by the error",
    "retry_after": "Retry-After of providers is honoured",
    "max_retries": "retries are one setting, `retries` of [routing]: set num_retries",
    "max_fallbacks": "every deployment of a model is tried, in the order of `priority`",
    "routing_strategy_args": "strategies have no numbers to set",
    "routing_groups": "one strategy is for all models",
    "model_group_affinity_config": "sessions return to their deployment without a setting",
    "optional_pre_call_checks": "context, limits and sessions are always checked",
    "default_litellm_params": NO_DEFAULTS,
    "default_max_parallel_requests": "set `max_concurrent` at the deployments",
    "default_priority": "calls wait in the order in which they come",
    "polling_interval": "nothing polls a queue",
    "caching_groups": "answers are not cached",
    "cache_responses": "answers are not cached",
    "client_ttl": "connections are kept as long as they are good",
    "debug_level": "logs have one level",
    "set_verbose": "logs have one level",
    "provider_budget_config": "providers have no budget: give budgets to accounts and keys",
    "alerting_config": "alert on the metrics instead (docs/guides/monitor.md)",
    "assistants_config": "assistants are not served",
    "search_tools": "web searches are the provider's own",
    "guardrail_list": "there are no guardrails: call them before the gateway",
    "ignore_invalid_deployments": "a wrong deployment is reported when the configuration is checked",
    "enable_health_check_routing": "deployments are always probed",
    "weights": "set `weight` at the deployments",
}
ROUTER_MAPPED = frozenset({
    "routing_strategy", "num_retries", "timeout", "stream_timeout", "fallbacks", "context_window_fallbacks",
    "default_fallbacks", "model_group_alias", "enable_pre_call_checks",
})  # fmt: skip
LITELLM_MAPPED = frozenset({
    "drop_params", "num_retries", "request_timeout", "fallbacks", "context_window_fallbacks", "default_fallbacks",
    *CALLBACK_LISTS,
})  # fmt: skip

STRATEGIES: Mapping[str, str] = {
    "simple-shuffle": "weighted",
    "least-busy": "balanced",
    "usage-based-routing": "balanced",
    "usage-based-routing-v2": "balanced",
    "latency-based-routing": "latency",
    "cost-based-routing": "price",
}

_SIGN_ON = "people sign on to nothing here: keys belong to accounts"
GENERAL_NOT_MAPPED: Mapping[str, str] = {
    "master_key": "there is no master key: commands run where the database is, and `fairlead keys create` makes keys",
    "salt_key": "keys are stored as hashes, without a salt",
    "database_url": "LiteLLM's database is not shared: Fairlead creates its own, in SQLite or at `url` of [database]",
    "store_model_in_db": "models that are only in LiteLLM's database are not in this file: add them to model_list",
    "supported_db_objects": "nothing is read from LiteLLM's database",
    "custom_auth": "Python code of LiteLLM is not run: callers have keys of Fairlead",
    "custom_auth_settings": "Python code of LiteLLM is not run: callers have keys of Fairlead",
    "custom_key_generate": "Python code of LiteLLM is not run",
    "custom_key_update": "Python code of LiteLLM is not run",
    "custom_sso": _SIGN_ON,
    "custom_ui_sso_sign_in_handler": _SIGN_ON,
    **dict.fromkeys(
        ("alerting", "alerting_threshold", "alert_types", "alerting_args", "alert_to_webhook_url",
         "spend_report_frequency"),
        "alert on the metrics instead (docs/guides/monitor.md)",
    ),
    **dict.fromkeys(
        ("database_connection_pool_limit", "database_connection_timeout", "database_connection_pool_timeout",
         "database_extra_connection_params", "database_socket_timeout", "disable_prisma_schema_update",
         "allow_requests_on_db_unavailable", "proxy_batch_write_at", "use_redis_transaction_buffer",
         "proxy_budget_rescheduler_min_time", "proxy_budget_rescheduler_max_time", "proxy_batch_polling_interval"),
        "the database needs no setting; calls continue while it cannot be reached",
    ),
    **dict.fromkeys(
        ("disable_spend_logs", "disable_spend_updates", "disable_reset_budget", "disable_error_logs",
         "store_prompts_in_spend_logs", "maximum_spend_logs_retention_period", "maximum_spend_logs_retention_interval"),
        "every call has a usage record, without its contents",
    ),
    **dict.fromkeys(
        ("enable_jwt_auth", "litellm_jwtauth", "enable_oauth2_auth", "enable_oauth2_proxy_auth",
         "oauth2_config_mappings", "allow_user_auth", "ui_access_mode", "proxy_admin_email"),
        _SIGN_ON,
    ),
    **dict.fromkeys(
        ("allowed_routes", "public_routes", "admin_only_routes"),
        "routes cannot be closed one by one: keys have models, networks and limits",
    ),
    **dict.fromkeys(
        ("key_management_system", "key_management_settings", "use_azure_key_vault", "use_google_kms"),
        "secrets are read from environment variables: let your secret manager set them",
    ),
    **dict.fromkeys(
        ("forward_client_headers_to_llm_api", "forward_openai_org_id", "forward_llm_provider_auth_headers"),
        "headers of callers that a provider needs are passed on; others are not",
    ),
    **dict.fromkeys(
        ("completion_model", "embedding_model", "image_generation_model", "moderation_model"),
        "a request must name its model",
    ),
    "allowed_ips": "close the port with a firewall, or give keys networks (`fairlead keys create --network`)",
    "use_x_forwarded_for": "see docs/guides/reverse-proxy.md",
    "master_key_hash": "there is no master key",
    "infer_model_from_keys": "name the models in model_list",
    "health_check_details": "GET /readyz shows no limits of providers",
    "health_check_concurrency": "probes are made one after another",
    "disable_master_key_return": "there is no master key",
    "disable_adding_master_key_hash_to_db": "there is no master key",
    "disable_responses_id_security": "responses belong to the account that made them",
    "disable_retry_on_max_parallel_request_limit_error": "a call beyond a limit is refused",
    "enforce_user_param": "a user is optional",
    "enforced_params": "parameters are optional as in the API",
    "reject_clientside_metadata_tags": "metadata does not change what is charged",
    "user_mcp_management_mode": "tools by MCP are not served",
    "max_response_size_mb": "answers are streamed, however long",
    "service_account_settings": "keys have limits of their own",
    "default_team_disabled": "only the operator creates keys",
    "user_api_key_cache_ttl": "a changed key is in force within a second",
    "litellm_key_header_name": "keys are read from Authorization, x-api-key and x-goog-api-key",
    "allow_client_side_credentials": "callers cannot choose addresses and keys of providers",
    "litellm_license": "no licence is needed",
    "pass_through_endpoints": "there are no pass-through endpoints: add the server as a provider",
    "use_client_credentials_pass_through_routes": "there are no pass-through endpoints",
    "enable_public_model_hub": "the list of models is public at /models",
    "pass_through_request_timeout": "there are no pass-through endpoints",
    "always_include_stream_usage": "usage comes with every stream that asks for it, and is always recorded",
    "require_end_user_mcp_access_defined": "tools by MCP are not served",
    "control_plane_url": "each server is on its own",
    "enforce_rbac": _SIGN_ON,
    "role_permissions": _SIGN_ON,
}  # fmt: skip
GENERAL_MAPPED = frozenset({
    "max_parallel_requests", "global_max_parallel_requests", "max_request_size_mb", "background_health_checks",
    "health_check_interval",
})  # fmt: skip

# Whole sections.
SECTIONS_NOT_MAPPED: Mapping[str, str] = {
    "environment_variables": "set it in the environment of the server, not in a file",
    "callback_settings": "spans go to an OpenTelemetry receiver: `otlp_endpoint` of [telemetry]",
    "guardrails": "there are no guardrails: call them before the gateway",
    "mcp_servers": "tools by MCP are not served",
    "mcp_tools": "tools by MCP are not served",
    "vector_store_registry": "vector stores are not served",
    "search_tools": "web searches are the provider's own",
    "prompts": "prompts are the caller's",
    "policies": "there are no guardrails: call them before the gateway",
    "policy_attachments": "there are no guardrails: call them before the gateway",
    "assistant_settings": "assistants are not served",
    "finetune_settings": "fine-tuning is not served",
    "files_settings": "files are not stored",
    "agent_list": "agents are not served",
    "include": "files that are included are not read: import each of them",
    "worker_config": "workers are an option: `fairlead serve --workers N`",
}
SECTIONS: Mapping[str, frozenset[str]] = {
    "litellm_settings": LITELLM_MAPPED | set(LITELLM_NOT_MAPPED),
    "router_settings": ROUTER_MAPPED | set(ROUTER_NOT_MAPPED),
    "general_settings": GENERAL_MAPPED | set(GENERAL_NOT_MAPPED),
}
