"""One entry of `model_list`: its provider, its deployment, and what is said of its model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from fairlead.admin.importing.document import Table, check_base_url, price_text
from fairlead.admin.importing.litellm import names
from fairlead.admin.importing.litellm.names import VENDORS, Vendor
from fairlead.admin.importing.report import Path, Report
from fairlead.admin.importing.secrets import Vault, as_env, has_default, variable
from fairlead.providers.presets import PRESETS
from fairlead.toml.names import closest
from fairlead.wire.vocabulary import PARAMETERS

# Stands for an address that is not known here. Names below .invalid lead nowhere.
PLACEHOLDER_HOST = "https://{}.invalid"
PLACEHOLDER_REGION = "us-east-1"
MOST_SECONDS = 86_400
MOST_COUNT, MOST_LIMIT, MOST_TOKENS = 1_000_000, 10**15, 1_000_000_000
# A weight of 0: the deployment serves only when no other one can.
LAST_PRIORITY = 1_000
# A word this near to one of LiteLLM's is a typo.
TYPO = 0.85
AZURE_PATH = re.compile(r"/openai(/.*)?$")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


class Refused(Exception):
    """An entry that cannot be imported. `ever`: whether LiteLLM itself could use it."""

    def __init__(self, why: str, *, ever: bool = True) -> None:
        super().__init__(why)
        self.why, self.ever = why, ever


@dataclass
class Entry:
    """What an entry comes to. `public`: its model_name; `mentioned`: names by which the catalogue may have a price."""

    path: Path
    public: str
    vendor: Vendor
    prefix: str
    upstream: str
    provider: Table = field(default_factory=dict)
    deployment: Table = field(default_factory=dict)
    model: Table = field(default_factory=dict)
    limits: dict[str, tuple[int, Path]] = field(default_factory=dict)
    sampling: dict[str, tuple[Decimal | int, Path]] = field(default_factory=dict)
    mentioned: list[str] = field(default_factory=list)

    @property
    def is_wildcard(self) -> bool:
        return "*" in self.upstream


class Shared(NamedTuple):
    """What all entries of a file share. `credentials`: of credential_list, by name, with the path of each."""

    report: Report
    vault: Vault
    environment: Mapping[str, str]
    credentials: Mapping[str, tuple[Path, dict[str, object]]]


class EntryReader:
    """Reads one entry. Each setting is claimed in the report where it is read."""

    def __init__(self, shared: Shared, path: Path, raw: dict[str, object]) -> None:
        self._shared, self.report, self._path, self._raw = shared, shared.report, path, raw
        self._places: dict[str, Path] = {}
        self._params: dict[str, object] = {}

    def read(self) -> Entry | None:
        """None when it cannot be imported: then the report has every setting of it with the reason."""
        try:
            return self._read()
        except Refused as refused:
            claim = self.report.not_mapped if refused.ever else self.report.never_effective
            claim(self._path, refused.why)
            return None

    def _read(self) -> Entry:
        public, params = self._raw.get("model_name"), self._raw.get("litellm_params")
        if not isinstance(public, str) or not public.strip():
            raise Refused("LiteLLM requires model_name", ever=False)
        if not isinstance(params, dict) or not isinstance(params.get("model"), str):
            raise Refused("LiteLLM requires litellm_params with a model", ever=False)
        self._params = params
        self._places = {name: (*self._path, "litellm_params", name) for name in params}
        self._merge_credential()
        entry = self._entry(public)
        self._address(entry)
        if not entry.vendor.local and entry.vendor.address != "region" and "api_key" not in self._params:
            self._default_key(entry)
        for name, value in self._params.items():
            self._param(entry, name, value)
        self._info(entry)
        for name in self._raw:
            if name not in ("model_name", "litellm_params", "model_info"):
                self._unknown((*self._path, name), name, names.PARAMS_MAPPED, "belongs in litellm_params")
        return entry

    def _merge_credential(self) -> None:
        named = self._params.get("litellm_credential_name")
        if named is None:
            return
        place = self._places["litellm_credential_name"]
        found = self._shared.credentials.get(named) if isinstance(named, str) else None
        if found is None:
            self.report.never_effective(place, "credential_list has no credential of this name")
            return
        path, values = found
        self.report.mapped(place, "the provider of this deployment")
        self._params = {**values, **self._params}
        self._places = {**{name: (*path, name) for name in values}, **self._places}

    # --- which provider

    def _entry(self, public: str) -> Entry:
        model = str(self._params["model"]).strip()
        prefix, slash, rest = model.partition("/")
        custom = self._params.get("custom_llm_provider")
        if isinstance(custom, str) and custom in VENDORS:
            self.report.mapped(self._places["custom_llm_provider"], "the preset or dialect of the provider")
            prefix, rest = custom, model.removeprefix(f"{custom}/")
        elif not slash or prefix not in VENDORS:
            prefix, rest = self._bare(model, custom if isinstance(custom, str) else "")
        if not rest:
            raise Refused("LiteLLM requires a model after the provider", ever=False)
        vendor = VENDORS[prefix]
        entry = Entry(self._path, public, vendor, prefix, rest, mentioned=[rest, f"{prefix}/{rest}"])
        if vendor.preset:
            entry.provider["preset"] = vendor.preset
        if vendor.dialect:
            entry.provider["dialect"] = vendor.dialect
        if vendor.address == "resource":  # `rest` is a name of the operator's own
            entry.mentioned.append(public)
        if vendor.address == "region":
            self._bedrock_model(entry)
        return entry

    def _bare(self, model: str, custom: str) -> tuple[str, str]:
        if custom:
            raise Refused(f"there is no preset for LiteLLM's provider {custom[:40]!r}: add it with its base_url")
        for pattern, vendor in names.BARE:
            if pattern.match(model):
                return vendor, model
        prefix, slash, _ = model.partition("/")
        if model == "*" or prefix == "*":
            raise Refused("a wildcard for every provider: list the models, or use `openai/*` and the like")
        if isinstance(self._params.get("api_base"), str) and slash:
            raise Refused(f"there is no preset for {prefix[:40]!r}: write `openai/...` if its API is OpenAI's")
        if slash:
            raise Refused(f"there is no preset for LiteLLM's provider {prefix[:40]!r}: add it with its base_url")
        raise Refused("LiteLLM cannot tell the provider of this name: write it before a slash", ever=False)

    @staticmethod
    def _bedrock_model(entry: Entry) -> None:
        """bedrock/converse/NAME, bedrock/us-west-2/NAME: neither route nor region is a part of the name."""
        while "/" in entry.upstream:
            first, _, rest = entry.upstream.partition("/")
            if first in ("converse", "invoke", "converse_like"):
                entry.upstream = rest
            elif REGION.fullmatch(first):
                entry.provider["region"], entry.upstream = first, rest
            else:
                break

    # --- where it is

    def _address(self, entry: Entry) -> None:
        name = "api_base" if "api_base" in self._params else "base_url"
        if entry.vendor.address == "project":
            self._vertex(entry)
        url = self._params.get(name)
        if entry.vendor.address == "region" and url is None and "aws_bedrock_runtime_endpoint" in self._params:
            name = "aws_bedrock_runtime_endpoint"
            url = self._params[name]
        if url is None:
            self._default_address(entry)
            return
        place = self._places[name]
        text = self._public_text(url, place, "the base_url of the provider", PLACEHOLDER_HOST)
        if text is None:
            raise Refused("its address is not text")
        entry.provider["base_url"] = base = self._base_url(entry, text.rstrip("/"))
        if problem := check_base_url(base):
            raise Refused(f"{name}: {problem}")
        if entry.vendor.hosts and urlsplit(base).hostname not in entry.vendor.hosts:
            entry.provider.pop("preset", None)
        self.report.mapped(place, "the base_url of the provider")

    @staticmethod
    def _base_url(entry: Entry, text: str) -> str:
        if entry.vendor.address == "resource":
            return AZURE_PATH.sub("", text.partition("?")[0])
        path = entry.vendor.path
        return text + path if path and not text.endswith(path) else text

    @staticmethod
    def _default_key(entry: Entry) -> None:
        """Where LiteLLM looks for a key that is not in the file."""
        preset = PRESETS.get(entry.provider.get("preset", ""))
        if name := entry.vendor.variable or (preset.key_variable if preset else ""):
            entry.provider["api_key"] = as_env(name)

    def _default_address(self, entry: Entry) -> None:
        vendor = entry.vendor
        if vendor.base_url:
            entry.provider["base_url"] = vendor.base_url + vendor.path
        elif vendor.address == "resource":
            entry.provider["base_url"] = PLACEHOLDER_HOST.format("azure-api-base")
            self.report.note(
                "An Azure deployment has no api_base (LiteLLM reads AZURE_API_BASE): replace its base_url."
            )
        elif not vendor.preset and "base_url" not in entry.provider:
            raise Refused("it has no api_base: add the address of the server", ever=False)

    def _vertex(self, entry: Entry) -> None:
        if "claude" in entry.upstream:
            raise Refused('Claude on Vertex AI has an API of its own: use `preset = "anthropic"` or "bedrock"')
        values = {}
        for kind, default in (("project", "PROJECT"), ("location", "us-central1")):
            found = next((n for n in (f"vertex_{kind}", f"vertex_ai_{kind}") if n in self._params), None)
            text: str | None = default
            if found is not None:
                text = self._public_text(
                    self._params[found], self._places[found], "the base_url of the provider", default
                )
                self.report.mapped(self._places[found], "the base_url of the provider")
            else:
                self.report.note(f"A Vertex AI deployment has no vertex_{kind}: check its base_url in the document.")
            if text is None or not re.fullmatch(r"[a-z0-9A-Z\-:.]{1,64}", text):
                raise Refused(f"vertex_{kind} is not a name")
            values[kind] = text
        project, location = values["project"], values["location"]
        host = "aiplatform.googleapis.com" if location == "global" else f"{location}-aiplatform.googleapis.com"
        # https://cloud.google.com/vertex-ai/generative-ai/docs/start/openai: OpenAI's API, with an access token as key
        entry.provider["base_url"] = f"https://{host}/v1/projects/{project}/locations/{location}/endpoints/openapi"
        entry.upstream = entry.upstream if "/" in entry.upstream else f"google/{entry.upstream}"
        self.report.note(
            "Vertex AI is called with an access token from VERTEX_ACCESS_TOKEN, which lasts an hour: write "
            '`api_key = { command = ["gcloud", "auth", "print-access-token"] }` to renew it.'
        )

    def _public_text(self, value: object, place: Path, to: str, placeholder: str) -> str | None:
        """A value that is no secret, such as an address. A variable is read now: such settings cannot name one."""
        if not isinstance(value, str):
            return None
        name = variable(value)
        if name is None:
            return value.strip()
        if found := self._shared.environment.get(name):
            return found.strip()
        placeholder = placeholder.format(name.lower().replace("_", "-")[:60].strip("-"))
        self.report.not_mapped(
            place, f"{to} cannot name a variable and {name} is not set: it is written as {placeholder!r}, replace it"
        )
        self.report.note(f"{name} is not set: replace {placeholder!r} in the document, or set it and import again.")
        return placeholder

    # --- its parameters

    def _param(self, entry: Entry, name: str, value: object) -> None:
        place = self._places[name]
        if name == "model":
            self.report.mapped(place, "the provider and the upstream_model of the deployment")
        elif name in names.SAMPLING:
            self._sampling(entry, name, value, place)
        elif name in names.PRICES or name in names.PRICES_PER_CALL:
            self._price(entry, name, value, place)
        elif handler := _HANDLERS.get(name):
            handler(self, entry, value, place)
        elif why := names.PARAMS_NOT_MAPPED.get(name):
            self.report.not_mapped(place, why)
        elif name not in names.PARAMS_MAPPED:
            near = closest(name, names.PARAMS_MAPPED | set(names.PARAMS_NOT_MAPPED), TYPO)
            if name in names.INFO_NOT_MAPPED or name == "mode":
                self.report.never_effective(place, "LiteLLM reads it in model_info")
            elif near:
                self.report.never_effective(place, f"LiteLLM does not know it; it knows {near!r}")
            else:
                self.report.not_mapped(place, names.NO_DEFAULTS)

    def secret(self, entry: Entry, value: object, place: Path, setting: str, wanted: str) -> None:
        if value is None:
            return
        if not isinstance(value, str):
            self.report.not_mapped(place, "it is not text")
            return
        if (name := variable(value)) is not None:
            self._shared.vault.reserve(name)
            entry.provider[setting] = as_env(name)
            to = f"{setting} of the provider, from the variable {name}"
            self.report.mapped(place, f"{to}; its default is not taken over" if has_default(value) else to)
        elif setting == "api_key" and value.strip().lower() in names.NO_KEY:
            self.report.mapped(place, "no api_key: the server wants none")
        else:
            name = self._shared.vault.name_for(value, wanted)
            entry.provider[setting] = as_env(name)
            self.report.mapped(
                place, f"{setting} of the provider, from the variable {name}; the secret is in the file: move it there"
            )
            self.report.note(f"A secret stands in the file: put it into the environment variable {name}.")

    def api_key(self, entry: Entry, value: object, place: Path) -> None:
        wanted = f"{entry.prefix}_API_KEY" if "base_url" not in entry.provider else f"{_host_word(entry)}_API_KEY"
        self.secret(entry, value, place, "api_key", wanted)

    def profile(self, entry: Entry, value: object, place: Path) -> None:
        text = self._public_text(value, place, "the profile", "default")
        if text:
            entry.provider["profile"] = text[:128]
            self.report.mapped(place, "`profile` of the provider")

    def region(self, entry: Entry, value: object, place: Path) -> None:
        text = self._public_text(value, place, "the region", PLACEHOLDER_REGION)
        if text is None or not re.fullmatch(r"[a-z0-9\-]{1,32}", text):
            self.report.not_mapped(place, "it is no region")
        elif entry.vendor.address != "region":
            self.report.never_effective(place, "only Bedrock has a region")
        else:
            entry.provider["region"] = text
            self.report.mapped(place, "`region` of the provider")

    def api_version(self, entry: Entry, value: object, place: Path) -> None:
        text = self._public_text(value, place, "the api_version", "2024-10-21")
        if entry.vendor.address != "resource":
            self.report.never_effective(place, "only Azure has an api_version")
        elif text is None or not re.fullmatch(r"[A-Za-z0-9.\-]{1,32}", text):
            self.report.not_mapped(place, "it is no api_version")
        else:
            entry.provider["api_version"] = text
            self.report.mapped(place, "`api_version` of the provider")

    def stream_timeout(self, entry: Entry, value: object, place: Path) -> None:
        """The silence within a stream, before `timeout`, which is for everything."""
        seconds = number(value)
        if seconds is None or not 0 < seconds <= MOST_SECONDS:
            self.report.not_mapped(place, "it is no number of seconds up to a day")
            return
        entry.provider["idle_timeout_seconds"] = seconds
        self.report.mapped(place, "`idle_timeout_seconds` of the provider")

    def weight(self, entry: Entry, value: object, place: Path) -> None:
        weight = number(value)
        if weight is None or not 0 <= weight <= MOST_COUNT:
            self.report.not_mapped(place, "it is no weight")
        elif weight == 0:
            entry.deployment["priority"] = entry.deployment.get("priority", 0) + LAST_PRIORITY
            self.report.mapped(place, "a high `priority`: it serves when no other deployment can")
        else:
            entry.deployment["weight"] = weight
            self.report.mapped(place, "`weight` of the deployment")

    def order(self, entry: Entry, value: object, place: Path) -> None:
        order = whole(value, MOST_COUNT - LAST_PRIORITY, least=0)
        if order is None:
            self.report.not_mapped(place, "it is no whole number")
        else:
            entry.deployment["priority"] = entry.deployment.get("priority", 0) + order
            self.report.mapped(place, "`priority` of the deployment: lower numbers serve first")

    def concurrent(self, entry: Entry, value: object, place: Path) -> None:
        count = whole(value, MOST_COUNT)
        if count is None:
            self.report.not_mapped(place, "it is no whole number above 0")
        else:
            entry.deployment["max_concurrent"] = count
            self.report.mapped(place, "`max_concurrent` of the deployment, per worker")

    def cap(self, entry: Entry, value: object, place: Path) -> None:
        count = whole(value, MOST_TOKENS)
        if count is None:
            self.report.not_mapped(place, "it is no whole number above 0")
        else:
            entry.deployment["max_output_tokens"] = count
            self.report.mapped(place, "`max_output_tokens` of the deployment: a cap, for callers who ask for more too")

    def drop(self, entry: Entry, value: object, place: Path) -> None:
        if isinstance(value, list):
            self.drop_list(entry, value, place)
        elif value is False:
            self.report.not_mapped(place, NOT_DROPPED)
        else:
            self.report.mapped(place, DROPPED)

    def drop_list(self, entry: Entry, value: object, place: Path) -> None:
        words = value if isinstance(value, list) else [value]
        known = [word for word in words if word in PARAMETERS]
        for at, word in enumerate(words):
            here = (*place, at) if isinstance(value, list) else place
            if word in PARAMETERS:
                self.report.mapped(here, "`parameters` of the deployment: all others are taken")
            else:
                self.report.not_mapped(here, "no parameter of this name is checked here")
        if known:
            entry.deployment["drops"] = sorted({*entry.deployment.get("drops", ()), *known})
        elif not words:
            self.report.mapped(place, DROPPED)

    def _sampling(self, entry: Entry, name: str, value: object, place: Path) -> None:
        if (given := number(value)) is None:
            self.report.not_mapped(place, "it is no number")
        else:
            entry.sampling[name] = (given, place)  # the pool decides

    def _price(self, entry: Entry, name: str, value: object, place: Path) -> None:
        given = number(value)
        amount = None if given is None else Decimal(given)
        if amount is None or amount < 0:
            self.report.not_mapped(place, "it is no price")
            return
        if name in names.PRICES_PER_CALL:
            class_, above, text = "request", None, price_text(amount, 1)
        else:
            (class_, above), text = names.PRICES[name], price_text(amount)
        if text is None:
            self.report.not_mapped(place, "it is finer than a picodollar per token: set the price yourself")
            return
        rates = entry.deployment.setdefault("rates", {})
        rates.setdefault((class_, above), text)
        tier = f" above {above} tokens" if above else ""
        unit = "dollars per call" if class_ == "request" else "dollars per million tokens"
        self.report.mapped(place, f"`cost.{class_}`{tier} of the deployment, in {unit}")

    # --- model_info

    def _info(self, entry: Entry) -> None:
        info, place = self._raw.get("model_info"), (*self._path, "model_info")
        if "model_info" not in self._raw:
            return
        if not isinstance(info, dict):
            self.report.never_effective(place, "it is no table")
            return
        for name, value in info.items():
            here = (*place, name)
            if name in names.PRICES or name in names.PRICES_PER_CALL:
                self._price(entry, name, value, here)
            elif name == "mode":
                self._mode(entry, value, here)
            elif name in ("max_tokens", "max_output_tokens", "max_input_tokens"):
                self._size(entry, name, value, here)
            elif name.startswith("supports_"):
                self._supports(entry, name, value, here)
            else:
                if name == "base_model" and isinstance(value, str):
                    entry.mentioned[:0] = [value, value.partition("/")[2]]
                self.report.not_mapped(here, names.INFO_NOT_MAPPED.get(name, names.INFO_ONLY))

    def _mode(self, entry: Entry, value: object, place: Path) -> None:
        mode = names.MODES.get(value) if isinstance(value, str) else None
        if mode is None:
            self.report.not_mapped(place, "no endpoint serves this mode")
            return
        entry.model["mode"] = mode
        self.report.mapped(place, "`mode` of the model")

    def _size(self, entry: Entry, name: str, value: object, place: Path) -> None:
        count = whole(value, MOST_TOKENS)
        if count is None:
            self.report.not_mapped(place, "it is no whole number above 0")
            return
        setting = "context_length" if name == "max_input_tokens" else "max_output_tokens"
        if name == "max_tokens" and "max_output_tokens" in self._raw["model_info"]:  # type: ignore[operator]
            self.report.not_mapped(place, "max_output_tokens says the same")
            return
        entry.deployment[setting] = min(count, entry.deployment.get(setting, count))
        self.report.mapped(place, f"`{setting}` of the deployment")

    def _supports(self, entry: Entry, name: str, value: object, place: Path) -> None:
        need = SUPPORTS.get(name)
        if value is False and need is not None:
            entry.deployment["lacks"] = sorted({*entry.deployment.get("lacks", ()), need})
            self.report.mapped(place, f'`lacks = ["{need}"]` of the deployment')
        elif value is True:
            self.report.mapped(place, "nothing to set: what a deployment is not said to lack is sent to it")
        else:
            self.report.not_mapped(place, names.INFO_ONLY)

    def _unknown(self, place: Path, name: str, known: frozenset[str], where: str) -> None:
        why = f"LiteLLM does not read it here: it {where}" if name in known else "LiteLLM does not know it"
        self.report.never_effective(place, why)


DROPPED = "nothing to set: parameters that a provider lacks are dropped and named in x-fairlead-dropped"
NOT_DROPPED = "callers choose: `x-fairlead-parameters: strict` rejects a request with parameters that a provider lacks"
SUPPORTS = {
    "supports_function_calling": "tools", "supports_parallel_function_calling": "parallel_tools",
    "supports_vision": "images", "supports_response_schema": "json_schema", "supports_audio_input": "audio",
    "supports_pdf_input": "files", "supports_assistant_prefill": "prefill",
}  # fmt: skip
# Claimed where the address was read.
_ADDRESSES = (
    "api_base", "base_url", "aws_bedrock_runtime_endpoint", "vertex_project", "vertex_location", "vertex_ai_project",
    "vertex_ai_location", "custom_llm_provider", "litellm_credential_name",
)  # fmt: skip


def _unused(reader: EntryReader, _entry: Entry, _value: object, place: Path) -> None:
    """What the address did not need. The first claim on a setting counts."""
    reader.report.never_effective(place, "the provider of this model does not use it")


Handler = Callable[[EntryReader, Entry, Any, Path], None]


def _aws(setting: str, wanted: str) -> Handler:
    def read(reader: EntryReader, entry: Entry, value: object, place: Path) -> None:
        reader.secret(entry, value, place, setting, wanted)

    return read


def _seconds(settings: tuple[str, ...]) -> Handler:
    def read(reader: EntryReader, entry: Entry, value: object, place: Path) -> None:
        seconds = number(value)
        if seconds is None or not 0 < seconds <= MOST_SECONDS:
            reader.report.not_mapped(place, "it is no number of seconds up to a day")
            return
        for setting in settings:
            entry.provider.setdefault(setting, seconds)
        reader.report.mapped(place, f"{' and '.join(f'`{one}`' for one in settings)} of the provider")

    return read


def _limit(setting: str) -> Handler:
    def read(reader: EntryReader, entry: Entry, value: object, place: Path) -> None:
        count = whole(value, MOST_LIMIT)
        if count is None:
            reader.report.not_mapped(place, "it is no whole number above 0")
        else:
            entry.limits[setting] = (count, place)  # the pool decides

    return read


_HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(_ADDRESSES, _unused),
    "api_key": EntryReader.api_key,
    "aws_access_key_id": _aws("access_key_id", "AWS_ACCESS_KEY_ID"),
    "aws_secret_access_key": _aws("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    "aws_session_token": _aws("session_token", "AWS_SESSION_TOKEN"),
    "aws_profile_name": EntryReader.profile,
    "aws_region_name": EntryReader.region,
    "region_name": EntryReader.region,
    "api_version": EntryReader.api_version,
    "timeout": _seconds(("first_byte_timeout_seconds", "idle_timeout_seconds")),
    "stream_timeout": EntryReader.stream_timeout,
    "rpm": _limit("requests_per_minute"),
    "tpm": _limit("tokens_per_minute"),
    "weight": EntryReader.weight,
    "order": EntryReader.order,
    "max_parallel_requests": EntryReader.concurrent,
    "max_tokens": EntryReader.cap,
    "max_completion_tokens": EntryReader.cap,
    "drop_params": EntryReader.drop,
    "additional_drop_params": EntryReader.drop_list,
}


def number(value: object) -> Decimal | int | None:
    """A number, also in quotes. True and false are none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", value.strip()):
        return Decimal(value.strip())
    return None


def whole(value: object, most: int, least: int = 1) -> int | None:
    found = number(value)
    return int(found) if found is not None and found == int(found) and least <= found <= most else None


def _host_word(entry: Entry) -> str:
    """A word for a provider by its address: the first part of the host's name that says something."""
    host = urlsplit(str(entry.provider.get("base_url", ""))).hostname or ""
    if re.fullmatch(r"[\d.:]+|localhost|.*\.invalid|", host):
        return entry.prefix
    return next((part for part in host.split(".") if part not in ("api", "www", "llm")), entry.prefix)
