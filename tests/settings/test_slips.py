"""Every slip in a configuration file is one sentence with its line: the cases are generated from the types."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from fairlead.accounts.accounts import budgets_as_json
from fairlead.accounts.options import expiry, limits
from fairlead.catalogue.files import ModelFile, VendorRow, read_model, read_vendors
from fairlead.catalogue.load import build
from fairlead.compose.options import tls_context
from fairlead.errors import ConfigurationError
from fairlead.money import Picodollars
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import File, Secrets, load_settings
from fairlead.toml import Source, problems, read

ROOT = Path(__file__).parents[2]
# Calls of Python functions for one small file, right or wrong: a loop without end is not waited for.
MOST_CALLS = 300_000
SAMPLES = {
    "a whole number": "5",
    "a number": "5.5",
    "true or false": "true",
    "text": '"text"',
    "a date": "2026-01-31",
    "a list": "[[]]",
    "a table": "{ zzz = 1 }",
}
# Values that must look like something.
SHAPED = {
    "url": '"https://example.org/"', "to": '["ops@example.org"]', "issuer": '"https://example.org"', "account": '"acc_0"',
}  # fmt: skip


class Table(NamedTuple):
    """A table of the file: the lines that make it, those of what it needs left out, and its type."""

    name: str
    before: tuple[str, ...]
    kind: inspect.StructType


def choices(kind: inspect.Type) -> list[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        return choices(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [one for part in kind.types for one in choices(part)]
    return [kind]


def sample(kind: inspect.Type, name: str) -> str:
    """A right value as TOML."""
    if name in SHAPED:
        return SHAPED[name]
    for one in choices(kind):
        match one:
            case inspect.StrType():
                return '"0.10"' if name in ("input", "output") else f'"{name.ljust(one.min_length or 0, "x")}"'
            case inspect.IntType() | inspect.FloatType():
                return str(one.ge or 1)
            case inspect.DateType():
                return "2026-01-31"
            case inspect.LiteralType():
                return f'"{one.values[0]}"'
            case inspect.StructType():
                inner = ", ".join(f"{f.name} = {sample(f.type, f.name)}" for f in one.fields if f.required)
                return f"{{ {inner} }}"
            case inspect.DictType():
                return f"{{ a = {sample(one.value_type, 'a')} }}"
    raise AssertionError(kind)


def needed(kind: inspect.StructType, but: str = "") -> list[str]:
    return [f"{f.name} = {sample(f.type, f.name)}" for f in kind.fields if f.required and f.name != but]


def tables(kind: inspect.StructType, name: str = "", before: tuple[str, ...] = ()) -> Iterator[Table]:
    yield Table(name, before, kind)
    before = (*before, *needed(kind))
    for field in kind.fields:
        path = f"{name}.{field.name}" if name else field.name
        for one in choices(field.type):
            before_it = tuple(line for line in before if not line.startswith(f"{field.name} = "))
            match one:
                case inspect.StructType():
                    yield from tables(one, path, (*before_it, f"[{path}]"))
                case inspect.VarTupleType(item_type=inspect.StructType()):
                    yield from tables(one.item_type, path, (*before_it, f"[[{path}]]"))
                case inspect.DictType():
                    for value in choices(one.value_type):
                        if isinstance(value, inspect.StructType):
                            yield from tables(value, f"{path}.some", (*before_it, f"[{path}.some]"))


def kinds_of(field: inspect.Type) -> set[str]:
    found = set()
    for one in choices(field):
        match one:
            case inspect.BoolType():
                found.add("true or false")
            case inspect.IntType():
                found.add("a whole number")
            case inspect.FloatType():
                found |= {"a whole number", "a number"}
            case inspect.StrType() | inspect.LiteralType():
                found.add("text")
            case inspect.DateType():
                found.add("a date")
            case inspect.StructType() | inspect.DictType():
                found.add("a table")
            case inspect.VarTupleType() | inspect.TupleType():
                found.add("a list")
    return found


def out_of_range(kind: inspect.Type) -> Iterator[str]:
    for one in choices(kind):
        if isinstance(one, inspect.IntType | inspect.FloatType):
            yield from (str(10**30), "-" + str(10**30), "0x" + "f" * 5000)
            if one.ge is not None:
                yield str(one.ge - 1)
            if one.gt is not None:
                yield str(one.gt)
            if one.le is not None:
                yield str(one.le + 1)
            if isinstance(one, inspect.FloatType):
                yield from ("nan", "inf", "-inf")
        elif isinstance(one, inspect.LiteralType):
            yield f'"{one.values[0]}x"'
        elif isinstance(one, inspect.StrType):
            if one.pattern is not None:
                yield from ('"a b\\n"', '"\\u0000"')
            if one.min_length:
                yield '""'
            if one.max_length is not None:
                yield f'"{"x" * (one.max_length + 1)}"'


FILE = inspect.type_info(File)
MODEL = inspect.type_info(ModelFile)
assert isinstance(FILE, inspect.StructType)
assert isinstance(MODEL, inspect.StructType)
TABLES = list(tables(FILE))
MODEL_TABLES = list(tables(MODEL))


def slips(table: Table) -> Iterator[tuple[str, str, str]]:
    """(what, text with one line that ends in "# here", a word of the message)."""
    known = {field.name for field in table.kind.fields}
    for field in table.kind.fields:

        def text(line: str, but: str = "", table: Table = table) -> str:
            return "\n".join(["# a comment", *table.before, *needed(table.kind, but), "", f"{line}  # here", "# rest"])

        for what, value in SAMPLES.items():
            if what not in kinds_of(field.type):
                yield f"{field.name} is {what}", text(f"{field.name} = {value}", field.name), field.name
        for value in out_of_range(field.type):
            yield f"{field.name} is {value[:20]}", text(f"{field.name} = {value}", field.name), field.name
        for wrong in (field.name[:-1], field.name + "x", field.name.upper()):
            if wrong and wrong not in known:
                yield f"{wrong} for {field.name}", text(f"{wrong} = 1"), f"did you mean '{field.name}'"


class Counted:
    """Ends what takes too many calls, wherever it is."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frame: object, event: str, argument: object) -> None:
        self.calls += 1
        if self.calls > MOST_CALLS:
            sys.setprofile(None)
            raise AssertionError(f"more than {MOST_CALLS} calls")

    def __enter__(self) -> Counted:
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


def message_of(text: str, shape: type = File) -> str:
    with Counted(), pytest.raises(ConfigurationError) as caught:
        read(Source("c.toml", text), text, shape)
    return caught.value.message


@pytest.mark.parametrize("table", [*TABLES, *MODEL_TABLES], ids=lambda table: table.name or table.kind.cls.__name__)
def test_every_setting_refuses_wrong_types_names_and_ranges_with_its_line(table: Table) -> None:
    shape = File if table in TABLES else ModelFile
    count = 0
    for what, text, word in slips(table):
        tomllib.loads(text)
        line = text.split("\n").index(next(one for one in text.split("\n") if one.endswith("# here"))) + 1
        message = message_of(text, shape)
        assert message.startswith(f"c.toml:{line}: "), (what, message)
        assert word in message, (what, message)
        assert message.endswith((".", "?")), (what, message)
        assert "\n" not in message, (what, message)
        assert len(message) < 900, (what, message)
        count += 1
    assert count > len(table.kind.fields)


@pytest.mark.parametrize("table", [t for t in (*TABLES, *MODEL_TABLES) if needed(t.kind)], ids=lambda table: table.name)
def test_what_is_missing_is_named_at_its_table(table: Table) -> None:
    for field in table.kind.fields:
        if field.required:
            text = "\n".join([*table.before, *needed(table.kind, field.name)])
            message = message_of(text, File if table in TABLES else ModelFile)
            assert message.endswith(f": '{field.name}' is missing here."), message
            if table.before:
                assert message.startswith(f"c.toml:{len(table.before)}: "), message


def test_headers_of_opentelemetry_that_are_no_text_are_a_sentence() -> None:
    message = message_of("[telemetry]\notlp_headers = { a = 5 }\n")
    assert message.startswith(
        "c.toml:2: otlp_headers.a takes printable ASCII characters in quotes or a table, { env = ... }, not a number."
    )


def test_a_setting_in_the_wrong_table_is_told_its_table() -> None:
    assert "belongs in [server]" in message_of("max_head_bytes = 4096\n")
    assert "belongs in [[providers]]" in message_of("[server]\nfirst_byte_timeout_seconds = 3\n")


def test_what_may_be_a_secret_is_not_quoted() -> None:
    for text in (
        'database = "postgresql://u:hunter2@h/d"',
        '[[providers]]\nid = "a"\napi_key = ["hunter2"]',
        '[[providers]]\nid = "a"\nconnect_timeout_seconds = "hunter2"',
        '[telemetry]\notlp_headers = "hunter2"',
    ):
        assert "hunter2" not in message_of(text)


LINES = '''# [server]
title."a.b" = """
[server]
max = 1
"""  # nothing
[ server . "x" ]  # [providers]
'a b' = 1

[[providers]]
id = "a]"
[[providers]]
id = \'\'\'
[[providers]]\'\'\'
list = [
  { id = "x#", more = [1,
     2] },
  # { id = "none" },
  { id = "y" }
]
[providers.key]
env = 1979-05-27 07:32:00
[[providers.deep]]
[[providers.deep]]
"\\u0061" = 1.5
'''


@pytest.mark.parametrize("feed", ["\n", "\r\n"])
def test_the_line_of_a_setting_is_right_however_it_is_written(feed: str) -> None:
    source = Source("c", LINES.replace("\n", feed))
    assert tomllib.loads(LINES)
    for path, line in {
        ("title",): 2,
        ("title", "a.b"): 2,
        ("server",): 6,
        ("server", "x", "a b"): 7,
        ("providers", 0): 9,
        ("providers", 0, "id"): 10,
        ("providers", 1): 11,
        ("providers", 1, "id"): 12,
        ("providers", 1, "list", 0, "more", 1): 16,
        ("providers", 1, "list", 1): 18,
        ("providers", 1, "list", 1, "id"): 18,
        ("providers", 1, "list", 1, "gone"): 18,
        ("providers", 1, "key", "env"): 21,
        ("providers", 1, "deep", 0): 22,
        ("providers", 1, "deep", 1, "a"): 24,
    }.items():
        assert source.line(path) == line, path
    assert source.line("providers[1].key.env") == 21
    assert source.line("nowhere") is None


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("deep lists", b"\n[server]\na = " + b"[" * 5000 + b"]" * 5000, 3),
        ("deep tables", b"\na = " + b"{a=" * 5000 + b"1" + b"}" * 5000, 2),
        ("deep keys", b"\n" + b"a." * 200_000 + b"a = 1", 2),
        ("deep keys in quotes", b"\n" + b'"a" . ' * 200_000 + b"a = 1", 2),
        ("deep header", b"\n\n[" + b"a." * 200_000 + b"a]", 3),
        ("deep key in a table", b"x = { " + b"a." * 200_000 + b"a = 1 }", 1),
        ("long number", b"\n\na = " + b"9" * 5000, 3),
        ("long hexadecimal number", b"[server]\nmax_connections = 0x" + b"f" * 500_000, 2),
        ("long fraction", b"[server]\nhead_timeout_seconds = 1." + b"9" * 5000 + b"e9999", 2),
        ("long name", b"[server]\n" + b"a" * 1_000_000 + b" = 1", 2),
        ("long word", b'[routing]\nstrategy = "' + b"a" * 1_000_000 + b'"', 2),
        ("long list", b"[server]\ncors_origins = [" + b"1," * 300_000 + b"]", 2),
        ("table twice", b"[server]\n[ledger]\n[server]\n", 3),
        ("key twice", b"[server]\nmetrics = true\nmetrics = true\n", 3),
        ("a table over a value", b"server = 1\n[server]\n", 2),
        ("no UTF-8", b"[server]\n# \xff\n", 2),
        ("UTF-16", "[server]\n".encode("utf-16"), 1),
        ("NUL", b"[server]\nmetrics = \x00\n", 2),
        ("lone CR", b"[server]\rmetrics = true\n", 1),
        ("not closed", b"[server]\ncors_origins = [\n1,\n", 3),
        ("string not closed", b'[server]\n\npublic_url = "http://', 3),
        ("a date", b"[server]\nmax_connections = 1979-05-27T07:32:00Z\n", 2),
        ("a time", b"[server]\nmax_connections = 07:32:00\n", 2),
        ("root list", b"[[server]]\n", 1),
        ("a mark and a slip", b"\xef\xbb\xbf[servr]\n", 1),
    ],
)  # fmt: skip
def test_garbage_is_one_sentence_with_its_line(tmp_path: Path, name: str, content: bytes, line: int) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file, {})
    assert caught.value.message.startswith(f"{file}:{line}: "), caught.value.message[:300]
    assert len(caught.value.message) < 900 + len(str(file))


def test_only_a_readable_regular_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "large").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    for name, words in {
        "pipe": "a named pipe", ".": "a directory", "none": "does not exist", "loop": "cannot be read",
        "large": "larger than", "a\0b": "cannot be read", "none/none": "does not exist", "large/none": "cannot be read",
        "x" * 300: "cannot be read",
    }.items():  # fmt: skip
        with pytest.raises(ConfigurationError, match=words):
            load_settings(tmp_path / name, {})
    with pytest.raises(ConfigurationError, match="a device"):
        load_settings(Path("/dev/zero"), {})


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[server]\n")
    file.chmod(0)
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(ConfigurationError, match="Permission denied"):
            load_settings(file, {})
    finally:
        os.seteuid(user)


VALUES = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8), st.dates(), st.datetimes(),
        st.times(), st.sampled_from(["free", "price", "drain", "call", "tools", "0.10", "mock"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
NAMES = st.sampled_from(sorted({field.name for table in TABLES for field in table.kind.fields}))
DEEP = st.recursive(VALUES, lambda inner: st.dictionaries(NAMES, inner, max_size=4) | st.lists(inner, max_size=2))
QUICK = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


@QUICK
@given(st.dictionaries(NAMES, DEEP, max_size=4))
def test_a_value_has_a_sentence_when_it_is_not_of_the_type_and_only_then(raw: dict[str, object]) -> None:
    found = list(problems(FILE, raw))
    try:
        msgspec.convert(raw, File)
    except (msgspec.ValidationError, ValueError, OverflowError):
        assert found
    else:
        assert all(re.search(r"number|limit|takes", problem.sentence) for problem in found)
    for problem in found:
        assert "\n" not in problem.sentence
        assert len(problem.sentence) < 900


EXAMPLE = re.search(r"```toml\n(.*?)```", (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8"), re.DOTALL)
assert EXAMPLE is not None
EXAMPLE_LINES = EXAMPLE[1].split("\n")
PIECES = st.sampled_from(
    ["[", "]", "{", "}", '"', "'", '"""', "=", ".", ",", "#", "\n", "\r", "\0", "9" * 5000, "nan", "0x", "\ufeff",
     "2026-01-01", "[[models]]", "[server]", "a.b", "\\", "\u2028", "é"]
)  # fmt: skip


@QUICK
@given(st.data())
def test_a_file_with_any_change_is_read_or_refused_in_one_sentence(data: st.DataObject) -> None:
    lines = list(EXAMPLE_LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.integers(0, 3)):
            case 0:
                lines.pop(at)
            case 1:
                lines.insert(at, lines[data.draw(st.integers(0, len(lines) - 1))])
            case 2:
                place = data.draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:place] + data.draw(PIECES) + lines[at][place:]
            case 3:
                lines[at] = lines[at].partition("=")[0] + "= " + data.draw(PIECES | st.text(max_size=10))
    text = "\n".join(lines)
    with Counted():
        try:
            read(Source("c.toml", text), text, File)
        except ConfigurationError as error:
            assert re.match(r"c\.toml:\d+: .*[.?]\Z", error.message), error.message  # noqa: PT017


def test_slips_in_files_of_a_catalogue_have_their_lines(tmp_path: Path) -> None:
    model = 'id = "acme/a"\nvendor = "acme"\nadded = 2026-01-31\n[sources.acme]\ntitle = "t"\nkind = "vendor"\nread = 2026-01-31\n'
    assert read_model(model, "m").id == "acme/a"
    for change, line, words in (
        (("kind =", "knid ="), 6, "did you mean 'kind'?"),
        (('"vendor"\nread', '"vendr"\nread'), 6, "did you mean 'vendor'?"),
        (("added = 2026-01-31", "added = 2026"), 3, "a date such as 2026-01-31"),
        (("[sources.acme]", "[sources.Acme]"), 4, "lower-case letters"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            read_model(model.replace(*change), "m")
        assert caught.value.message.startswith(f"m:{line}: ")
        assert words in caught.value.message
    with pytest.raises(ConfigurationError, match=r"^v:3: there is no setting 'nmae'; did you mean 'name'"):
        read_vendors('[acme]\nname = "Acme"\nnmae = "x"\n', "v")
    with pytest.raises(ConfigurationError, match=r"^v:1: acme takes a table"):
        read_vendors("acme = 5\n", "v")
    assert [field.name for field in msgspec.structs.fields(VendorRow)] == ["name", "url"]


@pytest.mark.parametrize("text", ['directroy = "x"', 'directory = "nowhere"', "directory = 5", 'directory = "~nobody-here/x"',
                                  'directory = "a\\u0000b"', 'directory = "c.toml"'])  # fmt: skip
def test_a_wrong_catalogue_is_one_sentence_with_its_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f"[catalogue]\n{text}\n")
    with pytest.raises(ConfigurationError) as caught:
        build(load_settings(file, {}), DIALECTS, supports_prefill, Secrets({}))
    assert caught.value.message.startswith(f"{file}:2: "), caught.value.message


def test_a_catalogue_with_pipes_loops_and_garbage_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[catalogue]\ndirectory = "models"\n')
    models = tmp_path / "models"
    models.mkdir()
    (models / "one").symlink_to(models)
    (models / "two").symlink_to(models)
    (models / "..data").mkdir()
    (models / "..data" / "a.toml").write_text("what a mounted secret has")
    build(load_settings(file, {}), DIALECTS, supports_prefill, Secrets({}))
    (models / "bad.toml").write_bytes(b"id = '\xff'")
    with pytest.raises(ConfigurationError, match=r"bad\.toml:1: this is not UTF-8"):
        build(load_settings(file, {}), DIALECTS, supports_prefill, Secrets({}))
    (models / "bad.toml").unlink()
    os.mkfifo(models / "bad.toml")
    with pytest.raises(ConfigurationError, match="a named pipe"):
        build(load_settings(file, {}), DIALECTS, supports_prefill, Secrets({}))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[telemetry]\notlp_headers = { "a b" = "c" }', 2),
        ('[telemetry]\notlp_headers = { a = "c\\n" }', 2),
        ('[[models]]\nid = "a"\nmarkup = "ten"', 3),
        ('[[models]]\nid = "a"\ninput_modalities = ["text", "imge"]', 3),
        ('[[models]]\nid = "a"\n[[models.deployments]]\nprovider = "p"\nupstream_model = "u"\nprice.input = ".5"', 6),
    ],
)  # fmt: skip
def test_texts_that_nothing_can_use_are_refused(text: str, line: int) -> None:
    assert message_of(text).startswith(f"c.toml:{line}: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[telemetry]\notlp_headers = { a = 5 }", 2),
        ('[catalogue]\ndirectroy = "x"', 2),
        ('[server]\n\ntls_certificate = "pipe"', 3),
    ],
)
def test_the_start_ends_with_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    os.mkfifo(tmp_path / "pipe")
    file = tmp_path / "c.toml"
    file.write_text(text)
    serve = ("serve", "--port", "0", "--no-engine", "--data", str(tmp_path / "data"), "--config", str(file))
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", *serve],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        timeout=100,
    )
    assert done.returncode == 2, done.stderr
    assert f"c.toml:{line}: " in done.stderr
    assert "Traceback" not in done.stderr


def test_certificates_that_are_no_files_are_refused_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    (tmp_path / "bad.pem").write_text("nothing")
    for text, words in (
        ('tls_key = "key.pem"', "requires tls_certificate"),
        ('tls_certificate = "a\\u0000b"', "is not a file"),
        ('tls_certificate = "nowhere.pem"', "is not a file"),
        (f'tls_certificate = "{tmp_path}"', "is not a file"),
        (f'tls_certificate = "{tmp_path}/bad.pem"', "not PEM"),
    ):
        file.write_text(f"[server]\n{text}\n")
        with pytest.raises(ConfigurationError) as caught:
            tls_context(load_settings(file, {}))
        assert caught.value.message.startswith(f"{file}:2: ")
        assert words in caught.value.message


def test_words_of_limits_and_budgets_are_told_with_the_nearest() -> None:
    for entry, words in {
        "reqests_per_minute=5": "did you mean 'requests_per_minute'",
        "acme/a:tokens_per_dya=5": "did you mean 'tokens_per_day'",
        "requests_per_day=0": "1 to 999999999999999",
        "requests_per_day=five": "1 to 999999999999999",
        "requests_per_day=" + "9" * 5000: "1 to 999999999999999",
        "requests_per_day=\u0665": "1 to 999999999999999",
        "requests_per_day": "NAME=NUMBER",
        "": "NAME=NUMBER",
    }.items():
        with pytest.raises(ConfigurationError) as caught:
            limits([entry])
        assert words in caught.value.message
        assert len(caught.value.message) < 400
    with pytest.raises(ConfigurationError, match="did you mean 'week'"):
        budgets_as_json({"weeks": Picodollars(1)})
    for text in ("2027-1-32", "\u0665d", "0d", "99999999h"):
        with pytest.raises(ConfigurationError):
            expiry(text)
