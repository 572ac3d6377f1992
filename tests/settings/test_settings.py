"""The configuration file: what it says arrives, and what is wrong is told with its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from fairlead import runtime
from fairlead.catalogue.load import build
from fairlead.doors.table import DIGESTS
from fairlead.errors import ConfigurationError
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.providers.presets import with_presets
from fairlead.settings import (
    RENAMED,
    PriceSettings,
    ProviderSettings,
    Secrets,
    SecretSource,
    ServerSettings,
    Settings,
    TierSettings,
    configuration_file,
    data_directory,
    exposure,
    load_settings,
    private_addresses,
    provider_keys,
)
from fairlead.settings.sections import Digests

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
GOOD = """\
[server]
head_timeout_seconds = 10
body_timeout_seconds = 60
max_body_bytes = 33554432

[[providers]]
id = "mock"
base_url = "http://127.0.0.1:9001/v1"
dialect = "vllm"
api_key = { env = "MOCK_KEY" }
connect_timeout_seconds = 2

[[models]]
id = "mistral-small-3.2"
[[models.deployments]]
provider = "mock"
upstream_model = "x"
price = { input = "0.10", output = "0.30" }
"""


def load(tmp_path: Path, text: str, **environment: str) -> Settings:
    file = tmp_path / "c.toml"
    file.write_text(text)
    return load_settings(file, environment)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    return caught.value.message.replace(str(tmp_path), "")


def test_the_file_of_the_documentation_is_read(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(GOOD)
    settings = load_settings(file, {})
    assert settings.server == ServerSettings()
    assert settings.providers[0].connect_timeout_seconds == 2
    assert settings.providers[0].api_key == SecretSource(env="MOCK_KEY")
    assert settings.models[0].deployments[0].upstream_model == "x"
    assert load_settings(None, {}).providers == ()


def test_the_complete_example_of_the_page_holds_every_setting_and_no_default(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert example is not None
    file = tmp_path / "c.toml"
    file.write_text(example[1])
    settings = load_settings(file, {})
    (tmp_path / "catalogue").mkdir()
    model = settings.models[0]
    for section in (
        settings.server, settings.ledger, settings.routing, settings.catalogue, settings.database, model, model.deployments[0],
    ):  # fmt: skip
        for field in msgspec.structs.fields(section):
            assert getattr(section, field.name) != field.default, field.name
    for field in msgspec.structs.fields(ProviderSettings):
        assert any(getattr(provider, field.name) != field.default for provider in settings.providers), field.name
    assert settings.server.cors_origins == ("https://chat.example.org",)
    assert settings.providers[0].api_key == SecretSource(env="BIG_API_KEY")
    assert model.deployments[0].price == PriceSettings(
        "0.10", "0.30", cached_input="0.025", tiers=(TierSettings("0.20", "0.60", above_prompt_tokens=200_000),)
    )
    keys = dict.fromkeys(
        ("BIG_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_API_KEY"), "k"
    )
    snapshot = build(with_presets(settings, keys), DIALECTS, supports_prefill, Secrets(keys))
    assert [one.id for one in snapshot.models[model.id].deployments] == ["big/big-model-v1", "local/big-model"]


@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, "a = " + "9" * 5000], ids=["nested", "digits"])
def test_what_the_toml_reader_gives_up_on_is_one_sentence(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text).startswith("/c.toml:1: ")


def test_only_a_line_feed_counts_as_a_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, "# a\u2028b\x85c\n[server]\nmax_connections = 0\n").startswith("/c.toml:3: ")


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("connect_timeout_seconds", "conect_timeout_seconds"), 11, "'connect_timeout_seconds'"),
        (("[server]", "[servr]"), 1, "'server'"),
        (("upstream_model", "upstreem_model"), 17, "'upstream_model'"),
        (('output = "0.30"', 'outputs = "0.30"'), 18, "'output'"),
        (('output = "0.30"', "output = 0.30"), 18, "in quotes"),
        (("= 33554432", '= "much"'), 4, "max_body_bytes"),
        (("= 33554432", "= 5"), 4, "1024"),
        (('id = "mock"', 'id = "mo ck"'), 7, "id"),
        (('base_url = "http://127.0.0.1:9001/v1"\n', ""), 6, "'base_url' is missing"),
        (("connect_timeout_seconds = 2", "connect_timeout_seconds = 0"), 11, "connect_timeout_seconds"),
        (("dialect = ", "dialect == "), 9, "TOML"),
        (("[[providers]]", "[providers]"), 6, "write [[providers]]"),
        (("[[models.deployments]]", "[models.deployments]"), 15, "write [[models.deployments]]"),
        (('price = { input = "0.10", output = "0.30" }', "price = 1"), 18, "a table, { input = ..., output = ... }"),
        (('price = { input = "0.10", output = "0.30" }', 'lacks = ["tool"]'), 18, "did you mean 'tools'?"),
        (('price = { input = "0.10", output = "0.30" }', 'price = "fre"'), 18, "did you mean 'free'?"),
        (("[server]", '[routing]\nstrategy = "latancy"\n[server]'), 2, "did you mean 'latency'?"),
        (("[server]", '[server]\ncors_origins = ["*", "localhost"]'), 2, "not an origin"),
        (("[server]", '[server]\ncors_origins = ["https://chat.example.org/"]'), 2, "not an origin"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_the_right_word(
    tmp_path: Path, change: tuple[str, str], line: int, words: str
) -> None:
    assert change[0] in GOOD
    message = refusal(tmp_path, GOOD.replace(*change))
    assert message.startswith(f"/c.toml:{line}: ")
    assert words in message


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.toml", tmp_path):
        with pytest.raises(ConfigurationError):
            load_settings(path, {})
    (tmp_path / "l.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load_settings(tmp_path / "l.toml", {})


@pytest.mark.parametrize(
    "url", ["llm.example.org", "https://llm.example.org/", "https://a.example/b", "ftp://a.example", "https://a b"]
)
def test_the_public_address_is_a_scheme_and_a_host(tmp_path: Path, url: str) -> None:
    assert "'public_url'" in refusal(tmp_path, f'[server]\npublic_url = "{url}"\n')
    for good in ("https://llm.example.org", "http://[::1]:8080", "http://10.0.0.1"):
        assert load(tmp_path, f'[server]\npublic_url = "{good}"\n').server.public_url == good


def test_keys_come_from_the_file_or_the_environment_and_are_never_shown() -> None:
    given = ProviderSettings(id="p", base_url="http://x", api_key="sk-secret")
    assert Secrets({}).value(given.api_key, "it") == "sk-secret"
    assert "sk-secret" not in repr(given)
    named = ProviderSettings(id="p", base_url="http://x", api_key=SecretSource(env="K"))
    assert [key.value for key in provider_keys(named, Secrets({"K": "v"}))] == ["v"]
    with pytest.raises(ConfigurationError, match="K is not set"):
        provider_keys(named, Secrets({}))
    with pytest.raises(ConfigurationError) as caught:
        provider_keys(named, Secrets({"K": "two\r\nlines"}))
    assert "two" not in caught.value.message
    assert provider_keys(ProviderSettings(id="p", base_url="http://x"), Secrets({})) == ()


def test_a_key_is_in_a_file_printed_by_a_command_or_sealed(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-file\n")
    count = tmp_path / "count"
    command = ("/bin/sh", "-c", f"echo run >> {count}; echo sk-printed; echo more")
    given = ProviderSettings(
        id="p",
        base_url="http://x",
        api_keys=(
            SecretSource(file=str(file)),
            SecretSource(command=command, refresh_seconds=60),
            SecretSource(sealed="main"),
            "sk-literal",
        ),
    )
    now = [0.0]
    secrets = Secrets({}, {"main": "sk-sealed"}.__getitem__, lambda: now[0])
    for _ in range(2):
        found = provider_keys(given, secrets)
        assert [key.value for key in found] == ["sk-file", "sk-printed", "sk-sealed", "sk-literal"]
    assert count.read_text().split() == ["run"]
    now[0] = 61.0
    provider_keys(given, secrets)
    assert count.read_text().split() == ["run", "run"]
    assert [key.label for key in found] == [f"file {file}", "command /bin/sh", "sealed main", "in the configuration"]
    assert "sk-" not in repr(found).replace("sk-fl", "")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (SecretSource(file="/nowhere/key"), "/nowhere/key"),
        (SecretSource(command=("/nowhere/program",)), "cannot be run"),
        (SecretSource(command=("/bin/sh", "-c", "echo sk-leak >&2; echo sk-leak; exit 3")), "failed with status 3"),
        (SecretSource(command=("/bin/sh", "-c", "")), "first line is empty"),
        (SecretSource(command=("/bin/sh", "-c", "head -c 20000 /dev/zero | tr '\\0' x")), "too long"),
        (SecretSource(sealed="main"), "not open here"),
    ],
)
def test_a_key_that_cannot_be_read_is_told_without_what_was_read(source: SecretSource, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        provider_keys(ProviderSettings(id="p", base_url="http://x", api_key=source), Secrets({}))
    assert "sk-leak" not in caught.value.message
    assert "xxx" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('api_key = { env = "A", file = "b" }', "must name one source"),
        ("api_key = {}", "must name one source"),
        ('api_keys = ["a", { sealed = "x", env = "B" }]', "must name one source"),
        ('api_key = "a"\napi_keys = ["b"]', "not both"),
    ],
)
def test_a_key_has_one_source(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, f'[[providers]]\nid = "p"\nbase_url = "http://x"\n{text}\n')


def test_proxies_and_their_exceptions() -> None:
    proxy = load_settings(
        None, {"HTTP_PROXY": "http://p:1", "https_proxy": "http://s:2", "NO_PROXY": "a.com, .b.com"}
    ).proxy
    assert proxy.for_url("http", "c.com") == "http://p:1"
    assert proxy.for_url("https", "c.com") == "http://s:2"
    for host in ("a.com", "x.a.com", "y.b.com", "b.com"):
        assert proxy.for_url("https", host) is None
    assert proxy.for_url("https", "nota.com") == "http://s:2"
    ranges = load_settings(
        None, {"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8,fd00::/8,[::1],192.168.1.7,*.lan,1.2.3.4/99"}
    ).proxy
    for host in ("10.200.3.4", "fd00::12", "[fd12::1]", "::1", "192.168.1.7", "gpu.lan"):
        assert ranges.for_url("http", host) is None
    for host in ("11.0.0.1", "192.168.1.77", "fe80::1", "1.2.3.4", "ten.example"):
        assert ranges.for_url("http", host) == "http://p:1"
    assert load_settings(None, {"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}).proxy.for_url("http", "x") is None
    assert "p:1" not in repr(proxy)


def test_the_mark_of_windows_editors_is_no_mistake(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff" + GOOD).providers == load(tmp_path, GOOD).providers  # type: ignore[attr-defined]


def test_places_have_an_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_directory(tmp_path, {"FAIRLEAD_DATA": "/x"}) == tmp_path
    assert data_directory(None, {"FAIRLEAD_DATA": "/x"}) == Path("/x")
    assert data_directory(None, {"XDG_DATA_HOME": "/y"}) == Path("/y/fairlead")
    assert data_directory(None, {}).parts[-3:] == (".local", "share", "fairlead")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: {}[0])
    with pytest.raises(ConfigurationError, match="--data"):
        data_directory(None, {})
    assert configuration_file(None, {"FAIRLEAD_CONFIG": "/c"}) == Path("/c")
    assert configuration_file(tmp_path, {"FAIRLEAD_CONFIG": "/c"}) == tmp_path
    assert configuration_file(None, {}) is None


@pytest.mark.parametrize("name", ["metrics", "status"])
def test_what_is_not_for_everybody_is_public_closed_or_at_an_address(tmp_path: Path, name: str) -> None:
    for good, meant in (
        ("public", "public"),
        ("closed", "closed"),
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:9464", ("::1", 9464)),
        ("metrics.internal:1", ("metrics.internal", 1)),
    ):
        settings = load(tmp_path, f'[server]\n{name} = "{good}"\n')
        assert exposure(getattr(settings.server, name)) == meant
        assert private_addresses(settings) == ((meant,) if isinstance(meant, tuple) else ())
    for bad in (
        "",
        "private",
        ":9464",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "http://127.0.0.1:9464",
        "::1:9464",
    ):
        assert f'\'{name}\' must be "public", "closed"' in refusal(tmp_path, f'[server]\n{name} = "{bad}"\n')


def test_metrics_as_true_and_false_are_public_and_closed(tmp_path: Path) -> None:
    for word, meant in (("true", "public"), ("false", "closed")):
        assert exposure(load(tmp_path, f"[server]\nmetrics = {word}\n").server.metrics) == meant


OLD_NAMES = """
[ledger]
hang_up_seconds = 7
hang_up_tokens = 8

[[providers]]
id = "a"
base_url = "http://127.0.0.1:1/v1"

[[providers]]
id = "b"
base_url = "http://127.0.0.1:1/v1"
hang_up = "cancel"

[[models]]
id = "m"

[[models.deployments]]
provider = "b"
upstream_model = "x"
price = "free"
continues = false
"""


def test_settings_under_their_old_names_are_read_with_one_warning(tmp_path: Path) -> None:
    settings = load(tmp_path, OLD_NAMES)
    assert (settings.ledger.disconnect_seconds, settings.ledger.disconnect_tokens) == (7, 8)
    assert [provider.disconnect for provider in settings.providers] == [None, "cancel"]
    assert settings.models[0].deployments[0].supports_prefill is False
    assert "\n" not in settings.warning
    for words in (
        "line 13: hang_up is now disconnect;",
        "line 3: hang_up_seconds is now disconnect_seconds;",
        "line 4: hang_up_tokens is now disconnect_tokens;",
        "line 22: continues is now supports_prefill.",
    ):
        assert words in settings.warning
    assert load(tmp_path, GOOD).warning == ""


def test_a_setting_under_both_names_is_refused_at_the_old_one(tmp_path: Path) -> None:
    text = "[ledger]\ndisconnect_tokens = 8\nhang_up_tokens = 8\n"
    assert ":3: 'hang_up_tokens' is the old name of 'disconnect_tokens'" in refusal(tmp_path, text)


def test_a_wrong_value_under_an_old_name_is_refused_with_its_line(tmp_path: Path) -> None:
    assert ":3: disconnect_seconds takes a number" in refusal(tmp_path, "[ledger]\n\nhang_up_seconds = true\n")
    deep = "providers = [[[{hang_up = 1}]], {id = 1}, 2]\n"
    assert ":1: " in refusal(tmp_path, deep)


def test_every_old_name_and_its_new_one_are_on_the_page_and_only_the_new_one_is_a_setting() -> None:
    text = PAGE.read_text("utf-8")
    for table, old, new in RENAMED:
        assert f"| `{old}` | `{new}` | `" in text, (table, old)
        assert f"| `{new}` | " in text
        assert text.count(f"\n| `{old}` | ") == 1, "it is no setting any more"


def test_the_warning_about_old_names_is_one_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "tune_allocator", lambda: None)
    runtime.prepare_process(load(tmp_path, OLD_NAMES))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "hang_up is now disconnect" in caplog.text


WEBHOOK = "webhook = { url = 'https://hooks.example.org/x', secret = { env = 'HOOK' } }"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("webhook = { url = 'http://10.0.0.1/x', secret = { env = 'HOOK' } }", "private address"),
        ("webhook = { url = 'http://0x7f.1/x', secret = { env = 'HOOK' } }", "private address"),
        ("webhook = { url = 'http://a@example.org/x', secret = { env = 'HOOK' } }", "without a user name"),
        ("webhook = { url = 'ftp://example.org/x', secret = { env = 'HOOK' } }", "http"),
        ("webhook = { url = 'https://example.org/x', secret = 'in the file' }", "secret"),
        ("webhook = { url = 'https://example.org/x', secret = {} }", "must name one source"),
        (WEBHOOK + "\nallow_networks = ['10.0.0.1/8']", "not a range"),
        (WEBHOOK + "\nthresholds = [1.5]", "thresholds"),
        ("email = { to = [], smtp = { host = 'mail' } }", "to"),
        ("email = { to = ['a@b.c\\nBcc: x@y.z'], smtp = { host = 'mail' } }", "mail"),
        ("email = { to = ['a@b.c'], smtp = { host = 'mail', username = 'u' } }", "given together"),
    ],
)
def test_what_is_wrong_with_alerts_is_said(tmp_path: Path, lines: str, words: str) -> None:
    file = tmp_path / "f.toml"
    file.write_text("[alerts]\n" + lines)
    with pytest.raises(ConfigurationError, match=words) as refused:
        load_settings(file)
    assert "f.toml" in refused.value.message


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254", "169.254.169.254.", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518",
        "user@169.254.169.254", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "METADATA.google.internal.",
    ],
)  # fmt: skip
def test_a_provider_is_no_metadata_service_of_a_cloud(tmp_path: Path, host: str) -> None:
    file = tmp_path / "f.toml"
    for address in (f"http://{host}/v1", f"https://{host.rpartition('@')[2]}:8443/v1"):
        file.write_text(f"[[providers]]\nid = 'p'\nbase_url = '{address}'\n")
        with pytest.raises(ConfigurationError, match=r"f\.toml:3: .*metadata service"):
            load_settings(file)
    for address in ("http://10.0.0.7:8000/v1", "http://localhost:8000", "http://[::1]:8000", "unix:/run/llm.sock"):
        file.write_text(f"[[providers]]\nid = 'p'\nbase_url = '{address}'\n")
        load_settings(file)


def test_whose_receipts_have_digests_is_said_alike_in_settings_and_doors() -> None:
    assert get_args(Digests) == DIGESTS
