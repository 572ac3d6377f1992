"""Every setting, once: its type, range, default and line of the reference (docs/reference/settings.md). Validation,
the messages about mistakes and the tables of that page are made from these classes; a setting is read where it is used.

A new setting is one field here, its value in the example of the page, and the page renewed by `script/docs`.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from fairlead.errors import ConfigurationError
from fairlead.settings.proxy import ProxySettings
from fairlead.toml import Renamed, Source
from fairlead.wire.vocabulary import Mode, Need


class Doc(NamedTuple):
    """What the reference says of a setting. `default` and `takes` are for what its type and value do not show; in
    `[word]` stands a page of the documentation. `secret`: its value is never shown."""

    meaning: str
    default: str = ""
    takes: str = ""
    secret: bool = False


# Old names of settings. They are read like the new ones, with a warning at the start.
RENAMED = (
    Renamed("providers", "hang_up", "disconnect"),
    Renamed("ledger", "hang_up_seconds", "disconnect_seconds"),
    Renamed("ledger", "hang_up_tokens", "disconnect_tokens"),
    Renamed("models.deployments", "continues", "supports_prefill"),
)

SECRET = (
    'string, or `{ env = "NAME" }`, `{ file = "PATH" }`, `{ command = [...] }`, `{ sealed = "NAME" }` ([credentials])'  # noqa: S105 - how one is written
)
RATES = 'a table of rates, or "free"'

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Id = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}\Z",
        description="up to 64 letters, digits and . _ - without spaces, a letter or digit first",
    ),
]
# Keys of one provider.
MOST_KEYS = 1_000
Limit = Annotated[int, Meta(ge=1, le=10**15)]
MODEL_ID = r"^[A-Za-z0-9][A-Za-z0-9._:/\-]{0,127}\Z"
ModelId = Annotated[
    str,
    Meta(
        pattern=MODEL_ID,
        description="up to 128 letters, digits and . _ : / - without spaces, a letter or digit first",
    ),
]
Tokens = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Decimal = Annotated[
    str,
    Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?\Z", description='a decimal string, such as "0.10"'),
]
Modality = Literal["text", "image", "audio", "video", "file"]
HeaderName = Annotated[
    str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z\-]{1,256}\Z", description="letters, digits and - without spaces")
]
HeaderValue = Annotated[str, Meta(pattern=r"^[\x20-\x7e]*\Z", description="printable ASCII characters in quotes")]
Probe = Literal["call", "list", "off"]
Sampling = Literal[
    "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "seed"
]
Digests = Literal["never", "native", "conversations"]
Strategy = Literal["balanced", "price", "throughput", "latency", "priority", "weighted"]


class EnvironmentKey(Struct, frozen=True, forbid_unknown_fields=True):
    """`{ env = "NAME" }`: the value is in that environment variable."""

    env: Annotated[str, Meta(min_length=1)]


class SecretSource(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a secret is, one of: an environment variable, a file, a command that prints it (`argv`, run without a
    shell), or the database, sealed, by its name there."""

    env: Annotated[str, Meta(min_length=1)] | None = None
    file: Annotated[str, Meta(min_length=1)] | None = None
    command: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    sealed: Id | None = None
    refresh_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 300

    @property
    def kinds(self) -> list[str]:
        """The kinds that are given; a valid source has one."""
        return [kind for kind in ("env", "file", "command", "sealed") if getattr(self, kind) is not None]

    @property
    def changes(self) -> bool:
        """Whether what is there may become another one while this process runs."""
        return self.env is None


Secret = str | SecretSource


class ServerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    max_head_bytes: Annotated[
        int, Meta(ge=1024, le=1_048_576), Doc("bytes of a request head; a longer one gets 431")
    ] = 32_768
    max_body_bytes: Annotated[
        int, Meta(ge=1024, le=1_073_741_824), Doc("bytes of a request body; a longer one gets 413")
    ] = 33_554_432
    max_upload_bytes: Annotated[
        int,
        Meta(ge=1024, le=1_073_741_824),
        Doc(
            "bytes of a form with files (transcriptions, edits of images), which is kept on disk; a longer one gets 413"
        ),
    ] = 134_217_728
    head_timeout_seconds: Annotated[Seconds, Doc("time to send the complete head, else 408")] = 10
    body_timeout_seconds: Annotated[Seconds, Doc("time to send the complete body, else 408")] = 60
    idle_timeout_seconds: Annotated[Seconds, Doc("a connection without a request is closed after this time")] = 75
    stall_timeout_seconds: Annotated[
        Seconds, Doc("a caller who reads nothing of an answer for this long is disconnected")
    ] = 60
    drain_timeout_seconds: Annotated[
        float, Meta(ge=0, le=3600), Doc("how long answers may take to end after SIGTERM")
    ] = 30
    max_connections: Annotated[Count, Doc("open connections of callers; one more gets 503")] = 20_000
    max_requests_in_flight: Annotated[Count, Doc("requests being served; one more gets 503 with Retry-After")] = 10_000
    max_buffered_bytes: Annotated[
        int,
        Meta(ge=1_048_576, le=1_099_511_627_776),
        Doc(
            "memory for the bodies of all requests, per process, from arrival to answer; a body beyond it gets 503 "
            "with Retry-After",
            takes="1,048,576 to 2^40, at least twice `max_body_bytes`",
        ),
    ] = 536_870_912
    cors_origins: Annotated[
        tuple[str, ...],
        Doc("web pages of these origins may call the API from a browser", takes='list of origins, or `["*"]`'),
    ] = ()
    public_url: Annotated[
        str | None,
        Doc(
            "the address that visitors use: in canonical links, redirects, the site map, feeds, pictures and "
            "snippets. Without it that is the host that each visitor asked for",
            takes="`https://llm.example.org`: no path, no slash at the end",
        ),
    ] = None
    metrics: Annotated[
        bool | str,
        Doc(
            "`GET /metrics` for Prometheus, with the names of models and deployments, and no contents. "
            '`"HOST:PORT"`: only at that address, by HTTP without TLS and without a key, as for a scraper on the same '
            'machine or in a private network. `true` and `false` are "public" and "closed"',
            takes='"public", "closed" or "HOST:PORT"',
        ),
    ] = "public"
    status: Annotated[
        str,
        Doc(
            "the status page with its `.json`, `.md` and `.atom`, which name deployments and incidents. "
            '`"HOST:PORT"`: only at that address, with the other pages around it; the same address may serve '
            "`metrics`, too",
            takes='"public", "closed" or "HOST:PORT"',
        ),
    ] = "public"
    tls_certificate: Annotated[str | None, Doc("certificate chain, to serve https", takes="path of a PEM file")] = None
    tls_key: Annotated[str | None, Doc("its private key, if not in the same file", takes="path of a PEM file")] = None


class LimitSettings(Struct, frozen=True, forbid_unknown_fields=True):
    requests_per_minute: Annotated[Limit | None, Doc("calls per minute")] = None
    requests_per_day: Annotated[Limit | None, Doc("calls per day")] = None
    tokens_per_minute: Annotated[Limit | None, Doc("tokens of prompts and answers per minute")] = None
    tokens_per_day: Annotated[Limit | None, Doc("the same per day")] = None
    concurrent_requests: Annotated[Limit | None, Doc("calls in flight at the same time")] = None


ValkeyUrl = Annotated[
    str,
    Meta(
        pattern=r"^(valkeys?|rediss?)://[^\s/]+(/[0-9]*)?(\?prefix=[A-Za-z0-9._:\-]+)?\Z",
        description="the address of a server, such as valkey://:password@host:6379/0",
    ),
]


class DefaultLimitSettings(LimitSettings, frozen=True, forbid_unknown_fields=True):
    """For every key that has no limits of its own; `free`: for each account's calls of free models; `valkey`: what
    holds limits for all processes."""

    free: Annotated[
        LimitSettings,
        Doc("for each account's calls of free models", default="none", takes="a table of the same"),
    ] = LimitSettings()
    valkey: Annotated[
        ValkeyUrl | EnvironmentKey | None,
        Doc(
            "a Valkey (or Redis) server by which all limits hold over all workers and machines together "
            "([scale-out]). `FAIRLEAD_VALKEY_URL` takes precedence",
            default="each process counts alone",
            takes='`valkey://user:password@host:6379/0`, `valkeys://` with TLS, or `{ env = "NAME" }`',
            secret=True,
        ),
    ] = None

    def __repr__(self) -> str:  # it may hold a password
        return "DefaultLimitSettings()"


class DatabaseSettings(Struct, frozen=True, forbid_unknown_fields=True):
    url: Annotated[
        str | EnvironmentKey | None,
        Doc(
            "a PostgreSQL server ([store]). `FAIRLEAD_DATABASE_URL` takes precedence, and commands read it too",
            default="SQLite in the data directory",
            takes='`postgresql://user:password@host/name`, or `{ env = "NAME" }`',
            secret=True,
        ),
    ] = None

    def __repr__(self) -> str:  # it may hold a password
        return "DatabaseSettings()"


class ConfigurationSettings(Struct, frozen=True, forbid_unknown_fields=True):
    store: Annotated[
        Literal["file", "database"],
        Doc(
            'where the configuration is kept: "file", this file is watched, and in force until the first `fairlead '
            'config apply`; "database", this file becomes the first version, and later ones are made by '
            "`fairlead config apply` ([change-configuration])"
        ),
    ] = "file"
    allow_networks: Annotated[
        tuple[str, ...],
        Doc(
            "private networks that providers may be in which are added over HTTP; on the server all can be added",
            takes='list of ranges, such as `["10.0.0.0/8"]`',
        ),
    ] = ()

    model_folders: Annotated[
        tuple[str, ...],
        Doc(
            "folders, besides `models` of the data directory, whose GGUF files may be run by `[[engines]]`",
            takes="list of absolute paths",
        ),
    ] = ()


class CatalogueSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A directory of model files that add to the bundled ones, or replace them."""

    directory: Annotated[
        str | None,
        Doc(
            "directory of your own model files, which add to or replace those that ship with Fairlead ([model-files])",
            takes="path, relative to this file",
        ),
    ] = None


class SiteSettings(Struct, frozen=True, forbid_unknown_fields=True):
    docs_edit_url: Annotated[
        Annotated[str, Meta(pattern=r"^https?://[^\s\"<>]+\Z", description="a URL with http:// or https://")] | None,
        Doc(
            'adds "Edit this page" to the documentation. `{path}` is replaced by the file below `docs/`, such as '
            "`guides/monitor.md`",
            takes="`https://git.example.org/fairlead/edit/main/docs/{path}`",
        ),
    ] = None


Domain = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9](?:[a-z0-9.\-]{0,251}[a-z0-9])?\Z", description="a domain in lower case, such as example.org"
    ),
]


ConsoleRole = Literal["owner", "admin", "billing", "member", "viewer"]


class GroupSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is in `group` at a provider of sign-ins has `role` in `account`."""

    group: Annotated[str, Meta(min_length=1, max_length=256)]
    account: Annotated[str, Meta(pattern=r"^acc_[0-9a-f]{1,28}\Z", description="the id of an account")]
    role: ConsoleRole = "member"


WebAddress = Annotated[
    str, Meta(pattern=r"^https?://[^\s/?#]+[^\s?#]*\Z", description="an address, https://... without a query")
]


CLIENT_SECRET = '`{ env = "NAME" }`, `{ file = "PATH" }`, `{ command = [...] }` or `{ sealed = "NAME" }`'  # noqa: S105 - how one is written
GROUPS = 'list of `{ group = "NAME", account = "acc_...", role = "member" }`'


class OidcSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A provider of OpenID Connect."""

    issuer: Annotated[
        WebAddress,
        Doc("the provider, as its `/.well-known/openid-configuration` names it", takes="an address, `https://...`"),
    ]
    client_id: Annotated[str, Meta(min_length=1, max_length=256), Doc("of Fairlead there")]
    client_secret: Annotated[SecretSource, Doc("the secret of the client", takes=CLIENT_SECRET, secret=True)]
    name: Annotated[str, Meta(min_length=1, max_length=64), Doc("on the button of the sign-in")] = "single sign-on"
    scopes: Annotated[
        Annotated[tuple[str, ...], Meta(min_length=1, max_length=20)],
        Doc("what is asked for", default='"openid", "email" and "profile"', takes="list of words"),
    ] = ("openid", "email", "profile")
    groups_claim: Annotated[
        str, Meta(min_length=1, max_length=128), Doc("the claim with the names of a person's groups")
    ] = "groups"
    groups: Annotated[
        tuple[GroupSettings, ...],
        Doc("roles that groups give in accounts, followed at each sign-in ([console])", takes=GROUPS),
    ] = ()
    operators: Annotated[
        tuple[str, ...], Doc("groups whose people operate the server", takes="list of names of groups")
    ] = ()
    allow_networks: Annotated[
        tuple[str, ...],
        Doc(
            "private networks that the provider may be in: without them only the public internet is connected to",
            takes='list of ranges, such as `["10.0.0.0/8"]`',
        ),
    ] = ()


class GithubSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """An OAuth app of GitHub."""

    client_id: Annotated[str, Meta(min_length=1, max_length=256), Doc("of the OAuth app")]
    client_secret: Annotated[SecretSource, Doc("its secret", takes=CLIENT_SECRET, secret=True)]
    url: Annotated[WebAddress, Doc("another one for GitHub Enterprise", takes="an address, `https://...`")] = (
        "https://github.com"
    )
    api_url: Annotated[WebAddress, Doc("its API", takes="an address, `https://...`")] = "https://api.github.com"
    groups: Annotated[
        tuple[GroupSettings, ...],
        Doc("as those of OpenID Connect; groups are organisations (`acme`) and teams (`acme/ops`)", takes=GROUPS),
    ] = ()
    operators: Annotated[
        tuple[str, ...], Doc("groups whose people operate the server", takes="list of names of groups")
    ] = ()
    allow_networks: Annotated[
        tuple[str, ...],
        Doc("private networks that it may be in", takes='list of ranges, such as `["10.0.0.0/8"]`'),
    ] = ()


class GuestSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What visitors without a key may call: free models, within these limits."""

    requests_per_minute: Annotated[Limit, Doc("calls of an address per minute")] = 10
    requests_per_day: Annotated[Limit, Doc("calls of an address per day")] = 100
    tokens_per_day: Annotated[Limit, Doc("tokens of prompts and answers of an address per day")] = 100_000
    concurrent_requests: Annotated[Limit, Doc("calls of an address in flight at the same time")] = 4
    total_requests_per_day: Annotated[Limit, Doc("calls of all guests together per day")] = 5_000
    total_tokens_per_day: Annotated[Limit, Doc("tokens of all guests together per day")] = 5_000_000
    total_concurrent_requests: Annotated[Limit, Doc("calls of all guests in flight at the same time")] = 16


class ConsoleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may sign up and sign in to the pages that are not for everybody."""

    enabled: Annotated[bool, Doc("serve the console: sign-in, `/account` and `/admin` ([console])")] = True
    sign_up: Annotated[
        Literal["closed", "invitation", "domain", "open"],
        Doc(
            'who may sign up: nobody but whom an operator invites ("closed"), who is invited by an operator or an '
            'organisation ("invitation"), besides them who has an e-mail address of one of `domains` ("domain"), or '
            'everybody ("open")'
        ),
    ] = "closed"
    domains: Annotated[
        tuple[Domain, ...],
        Doc('domains of e-mail addresses for `sign_up = "domain"`', takes='list of domains, such as `["example.org"]`'),
    ] = ()
    session_hours: Annotated[float, Meta(gt=0, le=8_760), Doc("how long somebody stays signed in, in hours")] = 336
    trusted_proxies: Annotated[
        tuple[str, ...],
        Doc(
            "proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` the console believes: where a visitor is from, "
            "and whether they came by https",
            takes='list of addresses or ranges, such as `["127.0.0.1", "10.0.0.0/8"]`',
        ),
    ] = ()
    guests: Annotated[
        GuestSettings | None,
        Doc(
            "visitors may call free models without a key, with the word `guest` in its place ([playground])",
            default="nobody",
            takes="a table; `{}` takes the defaults",
        ),
    ] = None
    hosts: Annotated[
        tuple[str, ...],
        Doc(
            "further names of hosts under which the console may be asked for, where `public_url` is set; addresses and "
            "`localhost` always are",
            takes='list of names, such as `["admin.internal"]`',
        ),
    ] = ()
    admin_listen: Annotated[
        str | None,
        Doc(
            "`/admin` only at this address, by HTTP without TLS, with the sign-in beside it; the same address may "
            "serve `metrics` and `status`, too",
            default="where everything is",
            takes='"HOST:PORT"',
        ),
    ] = None
    oidc: Annotated[
        OidcSettings | None,
        Doc(
            "sign in at a provider of OpenID Connect, such as Keycloak, Okta or Entra ID ([console])",
            takes='`{ issuer = "https://...", client_id = "...", client_secret = { env = "NAME" } }`',
            secret=True,
        ),
    ] = None
    github: Annotated[
        GithubSettings | None,
        Doc(
            "sign in at GitHub ([console])",
            takes='`{ client_id = "...", client_secret = { env = "NAME" } }`',
            secret=True,
        ),
    ] = None


class LedgerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What usage records survive, and how far an answer that is billed anyway is read after a disconnect."""

    durability: Annotated[
        Literal["process", "power"],
        Doc("what usage records survive: the end of the process, or a power failure too ([ledger])"),
    ] = "process"
    disconnect_seconds: Annotated[
        float, Meta(ge=0, le=3600), Doc("how long an answer is read after its caller has disconnected ([disconnects])")
    ] = 60
    disconnect_tokens: Annotated[int, Meta(ge=0, le=10_000_000), Doc("how many events of it are read")] = 16_384
    digests: Annotated[
        Digests,
        Doc(
            "whose receipts have SHA-256 digests of the bodies that came in and were sent: `native` those of Messages, "
            "Responses and Gemini calls, which providers of the same API get as they came; `conversations` those of "
            "chat completions too; `never` none, which saves some microseconds of each call"
        ),
    ] = "native"
    receipts_show_cost: Annotated[
        bool,
        Doc(
            "receipts of prepaid accounts have what each attempt cost the operator; those of the operator's own "
            "account always do"
        ),
    ] = False


class TelemetrySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How long figures are kept, and where OpenTelemetry's go besides (`otlp_endpoint`: an OTLP/HTTP receiver)."""

    flush_seconds: Annotated[float, Meta(ge=0.1, le=60), Doc("how often measurements are stored ([telemetry])")] = 5
    minutes_kept_days: Annotated[int, Meta(ge=2, le=90), Doc("days to keep measurements by the minute")] = 3
    kept_days: Annotated[int, Meta(ge=31, le=3650), Doc("days to keep them by the hour and by the day")] = 90
    otlp_endpoint: Annotated[
        Annotated[str, Meta(pattern=r"^https?://[^\s/]+\S*\Z", description="an address, http://... or https://...")]
        | None,
        Doc("address of an OTLP receiver over HTTP; needs the OpenTelemetry SDK ([telemetry])"),
    ] = None
    otlp_headers: Annotated[
        dict[HeaderName, HeaderValue | EnvironmentKey],
        Doc(
            "headers sent to the receiver, such as a key",
            takes='a table of strings, or `{ env = "NAME" }` each',
            secret=True,
        ),
    ] = {}
    otlp_service_name: Annotated[str, Meta(min_length=1, max_length=128), Doc("`service.name` of the traces")] = (
        "fairlead"
    )

    def __repr__(self) -> str:  # the headers may hold a key
        return "TelemetrySettings()"


class ResponsesSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether responses are stored. Off: nothing of them is ever on the disk."""

    store: Annotated[
        bool, Doc("store responses, so that callers can read them again and continue them (`previous_response_id`)")
    ] = False
    keep_days: Annotated[int, Meta(ge=1, le=365), Doc("days to keep them; an account keeps its newest 10,000")] = 30


class ContentSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether organisations may keep the content of their calls. None is kept unless an organisation switches it on."""

    allow: Annotated[
        bool,
        Doc("organisations may switch it on; `false`: nothing is kept, and what was kept is deleted within a minute"),
    ] = True
    max_days: Annotated[int, Meta(ge=1, le=365), Doc("the longest time that an organisation may keep content")] = 365
    max_megabytes: Annotated[
        int, Meta(ge=1, le=1_000_000), Doc("what each organisation may have stored; further calls are not kept")
    ] = 1_024


class RoutingSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How a deployment is chosen for a call, and what is done when it fails."""

    strategy: Annotated[Strategy, Doc("the order of deployments of one `priority`")] = "balanced"
    timeout_seconds: Annotated[Seconds | None, Doc("deadline of calls that send no `x-fairlead-timeout`")] = None
    retries: Annotated[int, Meta(ge=0, le=10), Doc("further rounds after all candidates have failed")] = 1
    continue_streams: Annotated[bool, Doc("a stream that is cut continues at the next candidate")] = True
    emulate_json_schema: Annotated[
        bool, Doc("where a deployment has no JSON schemas, the answer is checked here and repaired once")
    ] = True
    emulate_choices: Annotated[bool, Doc("where a deployment has no `n`, several calls are made")] = True
    hedge: Annotated[bool, Doc("a call whose first token is late is also sent to the next candidate ([routing])")] = (
        False
    )
    fetch_media: Annotated[
        bool,
        Doc(
            "images, files and video at an https address are fetched here when no deployment of the model can fetch "
            "them ([wire])"
        ),
    ] = False
    probes: Annotated[
        bool,
        Doc("a deployment with an open breaker is tested with a one-word probe instead of a caller's call"),
    ] = True
    probe_interval_seconds: Annotated[
        float,
        Meta(ge=0, le=86_400),
        Doc("a deployment without calls for this long is probed ([routing]); 0: never"),
    ] = 60


class ShadowSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A share of the calls that is also sent elsewhere, to compare."""

    share: Annotated[float, Meta(ge=0, le=1), Doc("the share of the calls that is mirrored, such as 0.05; 0: none")] = 0
    to: Annotated[
        Annotated[str, Meta(min_length=1, max_length=320)] | None,
        Doc(
            "where they go: a provider, which is asked for the same model, such as another gateway; or a provider's "
            "deployment. Answers are counted and discarded",
            takes='`"PROVIDER"` or `"PROVIDER/UPSTREAM_MODEL"`',
        ),
    ] = None
    models: Annotated[tuple[str, ...], Doc("only calls of these models", default="all", takes="list of ids")] = ()
    max_concurrent: Annotated[Count, Doc("mirrored calls in flight, per process; others are not mirrored")] = 4
    budget_usd: Annotated[Decimal, Doc("US dollars that each process may spend on them per day (UTC)")] = "1"


class WebhookSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`url`: of the receiver; `secret`: what deliveries are signed with."""

    url: Annotated[
        Annotated[
            str,
            Meta(pattern=r"^https?://[^\s/]+\S*\Z", description="an address, http://... or https://..."),
        ],
        Doc("where alerts are posted to as JSON"),
    ]
    secret: Annotated[
        SecretSource,
        Doc(
            "what they are signed with ([alerts])",
            takes='`{ env = "NAME" }`, `{ file = "PATH" }`, `{ command = [...] }` or `{ sealed = "NAME" }`',
        ),
    ]


class SmtpSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A mail server. `security`: TLS after a greeting in the clear ("starttls"), from the first byte ("tls"), or none
    ("none")."""

    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:\-]{1,255}\Z", description="the name of a host")]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    password: SecretSource | None = None


MailAddress = Annotated[
    str,
    Meta(pattern=r"^[^\s@<>,;\"]{1,64}@[A-Za-z0-9.\-]{1,255}\Z", description="a mail address, such as ops@example.org"),
]


class EmailSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Mail to each of `to`, from `sender`."""

    to: Annotated[
        Annotated[tuple[MailAddress, ...], Meta(min_length=1, max_length=20)],
        Doc("who gets them", takes="list of 1 to 20 mail addresses"),
    ]
    smtp: Annotated[
        SmtpSettings,
        Doc(
            "the mail server",
            takes='a table of `host`, `port` (587), `security` ("starttls", "tls" or "none"), `username` and '
            "`password` (written as `secret` of a webhook)",
        ),
    ]
    sender: Annotated[
        MailAddress | None, Doc("the address that they are from", default="the first of `to`", takes="a mail address")
    ] = None


Threshold = Annotated[float, Meta(gt=0, le=1)]


class AlertSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What is told of budgets, credit, deployments and configurations, and whom."""

    thresholds: Annotated[
        tuple[Threshold, ...],
        Doc(
            "parts of a budget, or of an account's credit, at which an alert is sent, each once per period",
            default="0.5, 0.8, 0.95 and 1",
            takes="list of numbers above 0, up to 1",
        ),
    ] = (0.5, 0.8, 0.95, 1.0)
    webhook: Annotated[
        WebhookSettings | None,
        Doc(
            "the receiver of a webhook",
            takes='`{ url = "https://...", secret = { env = "NAME" } }`',
            secret=True,
        ),
    ] = None
    email: Annotated[
        EmailSettings | None,
        Doc(
            "who gets mail, and by which server",
            takes='`{ to = ["ops@example.org"], smtp = { host = "mail.example.org" } }`',
        ),
    ] = None
    allow_networks: Annotated[
        tuple[str, ...],
        Doc(
            "private networks that a webhook may be in: without them only the public internet is connected to",
            takes='list of ranges, such as `["10.0.0.0/8"]`',
        ),
    ] = ()
    account_networks: Annotated[
        tuple[str, ...],
        Doc(
            "private networks that webhooks of accounts may be in, which their admins choose themselves",
            takes='list of ranges, such as `["10.20.0.0/16"]`',
        ),
    ] = ()


class ProviderSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `preset` gives can be left out; a provider without one needs `base_url`."""

    id: Annotated[Id, Doc("name of the provider in this file", takes="letters, digits, `.`, `_`, `-`")]
    preset: Annotated[
        str | None,
        Doc(
            "a hosted provider: sets `base_url`, `dialect` and the variable of the key",
            takes="a name of [providers]",
        ),
    ] = None
    base_url: Annotated[
        str | None,
        Doc(
            "address to which `/chat/completions`, or the dialect's own path, is appended",
            default="needed without a preset that has one",
            takes="`http://`, `https://`, `unix:/path.sock`",
        ),
    ] = None
    dialect: Annotated[
        str | None,
        Doc("how its API differs from OpenAI's", default='the preset\'s, or "generic"', takes="see [providers]"),
    ] = None
    api_key: Annotated[
        Secret | None,
        Doc(
            "key of the provider, sent as the dialect requires, mostly as a bearer token; never logged",
            default="the preset's variable, or none",
            takes=SECRET,
            secret=True,
        ),
    ] = None
    api_keys: Annotated[
        Annotated[tuple[Secret, ...], Meta(max_length=MOST_KEYS)],
        Doc(
            "several keys instead of one: calls take turns, and one that is refused or rate-limited rests alone",
            default="none",
            takes=f"list of at most {MOST_KEYS} of the same",
            secret=True,
        ),
    ] = ()
    region: Annotated[
        Annotated[str, Meta(pattern=r"^[a-z0-9\-]{1,32}\Z", description="up to 32 lower-case letters, digits and -")]
        | None,
        Doc(
            "Amazon's region: part of the address and of the signature",
            default="`AWS_REGION` where the preset needs one",
        ),
    ] = None
    api_version: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9.\-]{1,32}\Z", description="up to 32 letters, digits, . and -")]
        | None,
        Doc("Azure's `api-version`", default='"2024-10-21" for azure'),
    ] = None
    access_key_id: Annotated[
        Secret | None,
        Doc(
            "for bedrock only: requests are signed with it (Signature Version 4)",
            default="`AWS_ACCESS_KEY_ID` for the preset bedrock without an API key",
            takes=SECRET,
            secret=True,
        ),
    ] = None
    secret_access_key: Annotated[
        Secret | None,
        Doc(
            "its secret; never sent, never logged",
            default="likewise `AWS_SECRET_ACCESS_KEY`",
            takes=SECRET,
            secret=True,
        ),
    ] = None
    session_token: Annotated[
        Secret | None,
        Doc(
            "of temporary credentials, which are not renewed while the gateway runs",
            default="likewise `AWS_SESSION_TOKEN` where it is set",
            takes=SECRET,
            secret=True,
        ),
    ] = None
    profile: Annotated[
        Annotated[str, Meta(min_length=1, max_length=128)] | None,
        Doc(
            "of the shared credentials file (`AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`): its keys and "
            "session token sign; read once, at the start",
            default='`AWS_PROFILE` or "default", for the preset bedrock without keys or variables, where there is '
            "such a file",
            takes="a name",
        ),
    ] = None
    connect_timeout_seconds: Annotated[Seconds, Doc("time to open a connection")] = 5
    first_byte_timeout_seconds: Annotated[Seconds, Doc("time from the request to the first byte of the answer")] = 120
    idle_timeout_seconds: Annotated[Seconds, Doc("longest silence within an answer")] = 120
    total_timeout_seconds: Annotated[Seconds, Doc("time for the whole call")] = 3600
    max_connections: Annotated[Count, Doc("open connections to the provider")] = 10_000
    max_queue: Annotated[int, Meta(ge=0, le=1_000_000), Doc("calls that may wait for a connection; more get 503")] = (
        1_000
    )
    queue_timeout_seconds: Annotated[Seconds, Doc("how long they may wait")] = 30
    disconnect: Annotated[
        Literal["drain", "cancel"] | None,
        Doc(
            "whether an answer is read to its end or cancelled when its caller disconnects ([disconnects])",
            default="as its preset, else its dialect",
        ),
    ] = None
    forward_sessions: Annotated[
        bool,
        Doc(
            "whether the provider gets the session and the user that callers name, as `x-session-id` and `x-user-id`; "
            "calls that may be hedged do not carry them"
        ),
    ] = False
    probe: Annotated[
        Probe | None,
        Doc(
            "how its deployments are probed while they get no calls ([routing])",
            default='"list" for what costs, else "call"',
        ),
    ] = None

    def __repr__(self) -> str:  # the key must not get into a log
        return f"ProviderSettings({self.id!r})"


class RateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars per million tokens, as decimal strings; `request` in dollars per request. A class that is left out is
    paid like the one it is a part of: everything that goes in like `input`, everything that comes out like `output`."""

    input: Annotated[Decimal, Doc("prompt tokens of no other class")]
    output: Annotated[Decimal, Doc("output tokens of no other class")]
    cached_input: Annotated[Decimal | None, Doc("prompt tokens read from the provider's cache", default="`input`")] = (
        None
    )
    cache_write_5m: Annotated[
        Decimal | None, Doc("prompt tokens written to a cache for five minutes", default="`input`")
    ] = None
    cache_write_1h: Annotated[Decimal | None, Doc("the same for an hour", default="`cache_write_5m`")] = None
    image: Annotated[Decimal | None, Doc("image tokens in the prompt", default="`input`")] = None
    audio_input: Annotated[Decimal | None, Doc("audio tokens in the prompt", default="`input`")] = None
    reasoning: Annotated[Decimal | None, Doc("reasoning tokens", default="`output`")] = None
    audio_output: Annotated[Decimal | None, Doc("audio tokens in the answer", default="`output`")] = None
    request: Annotated[
        Decimal | None, Doc("each call, search unit of a rerank, or unit of an image, in dollars", default='"0"')
    ] = None


class TierSettings(RateSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    above_prompt_tokens: Annotated[Tokens, Doc("the tier's rates are for calls with a longer prompt")]


class PriceSettings(RateSettings, frozen=True, forbid_unknown_fields=True):
    """Rates, and other rates for the whole call when its prompt is longer."""

    tiers: Annotated[
        tuple[TierSettings, ...],
        Doc(
            "other rates for the whole call when its prompt is longer: "
            '`[{ above_prompt_tokens = 200000, input = "0.20", output = "0.60" }]`',
            takes="list of tables",
        ),
    ] = ()


class DeploymentSettings(Struct, frozen=True, forbid_unknown_fields=True):
    provider: Annotated[str, Doc("the provider that serves it", takes="id of a provider")]
    upstream_model: Annotated[
        str, Meta(min_length=1, max_length=256), Doc("the provider's name for the model", takes="text")
    ]
    price: Annotated[
        PriceSettings | Literal["free"] | None,
        Doc(
            "what the caller pays; a deployment without `price` and `cost` is refused",
            default="`cost` × `markup`",
            takes=RATES,
        ),
    ] = None
    cost: Annotated[
        PriceSettings | Literal["free"] | None,
        Doc("what the provider charges you", default="not known", takes=RATES),
    ] = None
    context_length: Annotated[
        Tokens | None,
        Doc(
            "tokens of prompt and answer that this deployment takes; a call that needs more is sent elsewhere or "
            "refused",
            default="the model's",
        ),
    ] = None
    max_output_tokens: Annotated[
        Tokens | None,
        Doc(
            "output tokens that this deployment can give; the cap of a request is lowered to it",
            default="the model's",
            takes="up to the context",
        ),
    ] = None
    weight: Annotated[
        float,
        Meta(gt=0, le=1_000_000),
        Doc('relative share of the calls, for "weighted" and "balanced"'),
    ] = 1
    priority: Annotated[
        int,
        Meta(ge=0, le=1_000_000),
        Doc("deployments with a lower number serve first; higher ones serve when no lower one can"),
    ] = 0
    region: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Doc("what `regions` of a request compares with", default="not known", takes="text"),
    ] = None
    quantization: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Doc("what `quantizations` of a request compares with", default="not known", takes='text, such as "fp8"'),
    ] = None
    keeps_data: Annotated[
        bool | None,
        Doc(
            'whether the provider stores prompts or trains on them; `data_collection: "deny"` requires false',
            default="not known",
        ),
    ] = None
    max_concurrent: Annotated[Count | None, Doc("calls in flight at the same time, per process")] = None
    max_inputs: Annotated[
        Count | None,
        Doc(
            "inputs of embeddings that it takes at once; longer batches are split and their vectors joined in order",
            default="that of its dialect",
        ),
    ] = None
    parameters: Annotated[
        tuple[str, ...] | None,
        Doc(
            "parameters that it takes; others of a caller are dropped and named, or refused in strict mode",
            default="as its dialect",
            takes="list of parameters",
        ),
    ] = None
    allow_parameters: Annotated[
        tuple[str, ...],
        Doc(
            "parameters that are sent although its price sheet does not cover them: `service_tier`, "
            "`web_search_options`, names that are "
            "not known here ([prices])",
            takes='list of parameters, or `["*"]`',
        ),
    ] = ()
    lacks: Annotated[
        tuple[Need, ...],
        Doc(
            "what it cannot do; `media_urls`: fetch what is at an address, `file_ids`: know files by their ids, "
            "`assistant_media`: take images and the like from an assistant"
        ),
    ] = ()
    supports_prefill: Annotated[
        bool | None,
        Doc(
            "it continues a prefill exactly where it ends, and may take over a cut stream",
            default="as [providers] lists",
        ),
    ] = None
    probe: Annotated[Probe | None, Doc("how it is probed while it gets no calls", default="the provider's")] = None


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[
        ModelId, Doc("id of a model of the catalogue, or a new one", takes="letters, digits, `.`, `_`, `-`, `:`, `/`")
    ]
    name: Annotated[str | None, Doc("name shown on pages", default="the catalogue's")] = None
    vendor: Annotated[str | None, Doc("`owned_by` in the API", default="the catalogue's")] = None
    description: Annotated[str | None, Doc("one sentence", default="the catalogue's")] = None
    context_length: Annotated[Tokens | None, Doc("tokens of prompt and answer", default="the catalogue's")] = None
    max_output_tokens: Annotated[
        Tokens | None, Doc("tokens of an answer", default="the catalogue's", takes="up to the context")
    ] = None
    input_modalities: Annotated[
        tuple[Modality, ...] | None,
        Doc(
            "other input is refused here; without it, and without facts in the catalogue, everything is sent on",
            default="the catalogue's",
        ),
    ] = None
    mode: Annotated[
        Mode | None,
        Doc(
            "what the model is for; calls of another kind are refused with the endpoint that serves it",
            default='the catalogue\'s, else "chat"',
        ),
    ] = None
    defaults: Annotated[
        dict[Sampling, int | float],
        Doc(
            "values that are sent where a caller leaves the parameter out: `{ temperature = 0.2 }`",
            default="the catalogue's",
            takes="a table of numbers: `temperature`, `top_p`, `top_k`, `min_p`, `frequency_penalty`, "
            "`presence_penalty`, `repetition_penalty`, `seed`",
        ),
    ] = {}
    markup: Annotated[Decimal, Doc("factor by which `cost` is multiplied where there is no `price`")] = "1"
    limits: Annotated[
        LimitSettings,
        Doc("for all callers of this model together", default="none", takes="a table as `[limits]`"),
    ] = LimitSettings()
    deployments: Annotated[
        tuple[DeploymentSettings, ...],
        Doc("deployments that serve it, in order of preference", takes="`[[models.deployments]]`"),
    ] = ()


class EngineSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A GGUF file that the embedded engine serves, in a process of its own on every node."""

    id: Annotated[Id, Doc("name of the engine, and of the provider that it is", takes="letters, digits, `.`, `_`, `-`")]
    file: Annotated[
        Annotated[str, Meta(min_length=1, max_length=4096)],
        Doc("the GGUF file", takes="path below a folder of models: absolute, or relative to it"),
    ]
    model: Annotated[ModelId | None, Doc("id of the model in the API", default="`id`", takes="id of a model")] = None
    mode: Annotated[
        Literal["chat", "embedding", "rerank"] | None, Doc("what the model is for", default="read from the file")
    ] = None
    context_length: Annotated[
        Annotated[int, Meta(ge=256, le=1_048_576)] | None,
        Doc("tokens of context for each call", default="8192, or the model's where that is less"),
    ] = None
    slots: Annotated[Annotated[int, Meta(ge=1, le=64)], Doc("calls at once; others wait")] = 4
    vision_file: Annotated[
        Annotated[str, Meta(min_length=1, max_length=4096)] | None,
        Doc("the vision part of the model (mmproj file)", takes="path, as `file`"),
    ] = None
    enabled: Annotated[bool, Doc("whether it runs")] = True


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """A configuration file."""

    server: ServerSettings = ServerSettings()
    limits: DefaultLimitSettings = DefaultLimitSettings()
    database: DatabaseSettings = DatabaseSettings()
    configuration: ConfigurationSettings = ConfigurationSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    site: SiteSettings = SiteSettings()
    console: ConsoleSettings = ConsoleSettings()
    ledger: LedgerSettings = LedgerSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    responses: ResponsesSettings = ResponsesSettings()
    content: ContentSettings = ContentSettings()
    routing: RoutingSettings = RoutingSettings()
    shadow: ShadowSettings = ShadowSettings()

    alerts: AlertSettings = AlertSettings()
    providers: tuple[ProviderSettings, ...] = ()
    models: tuple[ModelSettings, ...] = ()
    engines: tuple[EngineSettings, ...] = ()


class Settings(File, frozen=True, kw_only=True):
    """What a file and the environment say."""

    proxy: ProxySettings = ProxySettings()
    source: Source | None = None
    warning: str = ""  # about the file, for the log; "": none
    # Addresses of providers that came over HTTP: their names may not lead into a private network, whenever they are
    # resolved.
    guarded: frozenset[str] = frozenset()

    def error(self, path: str, sentence: str) -> ConfigurationError:
        """The error for a setting found wrong later, with its line where there is a file."""
        return ConfigurationError(sentence) if self.source is None else self.source.error(path, sentence)
