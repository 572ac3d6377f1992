"""LiteLLM's `config.yaml` as a document of ours, with a report of every setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fairlead.admin.importing.document import Document, Table, checked
from fairlead.admin.importing.litellm import names
from fairlead.admin.importing.litellm.deployments import (
    DROPPED,
    MOST_COUNT,
    MOST_SECONDS,
    NOT_DROPPED,
    Entry,
    EntryReader,
    Shared,
    number,
    whole,
)
from fairlead.admin.importing.litellm.pools import Pools, expanded
from fairlead.admin.importing.report import Path, Report
from fairlead.admin.importing.secrets import Vault
from fairlead.admin.importing.yaml_file import Duplicate, read_yaml
from fairlead.toml.names import closest

TITLE = "Proposed by `fairlead import litellm`. Nothing of it is in force yet."
MOST_RETRIES = 10
MEBIBYTE = 1024 * 1024
LARGEST_BODY = 1024 * MEBIBYTE
WINS = "router_settings has it too, and LiteLLM takes that one"
TWICE = "the same key stands again on line {}, which wins"


class Imported(NamedTuple):
    """`text`: the document as TOML. `variables`: environment variables that it reads."""

    text: str
    report: Report
    variables: list[str]


def import_litellm(text: str, name: str, environment: Mapping[str, str]) -> Imported:
    """A proposed configuration. `environment`: where addresses that the file takes from variables are looked up.

    Raises ConfigurationError for a file that is not LiteLLM's, or not safe to read.
    """
    tree, duplicates = read_yaml(text, name)
    return _Importer(tree, environment).run(duplicates)


class _Importer:
    def __init__(self, tree: dict[str, object], environment: Mapping[str, str]) -> None:
        self._tree = tree
        self._report = Report(tree)
        self._environment = environment
        self._document = Document()

    def run(self, duplicates: list[Duplicate]) -> Imported:
        for one in duplicates:
            self._report.add("never_effective", one.shown, TWICE.format(one.winner))
        pools = Pools(self._document, self._report, self._timeouts())
        pools.add(list(expanded(self._entries(), self._report)))
        self._aliases(pools)
        self._fallbacks(pools)
        self._settings()
        self._rest()
        pools.finish()
        if not self._document.models:
            self._report.note("No model could be imported: see the list of settings that are not mapped.")
        text = self._document.text(TITLE)
        checked(text)
        return Imported(text, self._report, self._document.variables)

    # --- model_list

    def _entries(self) -> Iterator[Entry]:
        shared = Shared(self._report, Vault(), self._environment, self._credentials())
        given = self._tree.get("model_list")
        if given is None:
            return
        if not isinstance(given, list):
            self._report.never_effective(("model_list",), "LiteLLM requires a list")
            return
        for at, raw in enumerate(given):
            path: Path = ("model_list", at)
            if not isinstance(raw, dict):
                self._report.never_effective(path, "LiteLLM requires a table with model_name and litellm_params")
                continue
            if (entry := EntryReader(shared, path, raw).read()) is not None:
                yield entry

    def _credentials(self) -> dict[str, tuple[Path, dict[str, object]]]:
        found: dict[str, tuple[Path, dict[str, object]]] = {}
        given = self._tree.get("credential_list")
        for at, one in enumerate(given if isinstance(given, list) else ()):
            if isinstance(one, dict) and isinstance(one.get("credential_name"), str):
                values = one.get("credential_values")
                if isinstance(values, dict):
                    path: Path = ("credential_list", at, "credential_values")
                    found[one["credential_name"]] = path, values
        return found

    # --- settings of all deployments

    def _section(self, name: str) -> dict[str, Any]:
        given = self._tree.get(name)
        return given if isinstance(given, dict) else {}

    def _from_either(self, name: str, other: str | None = None) -> tuple[object, Path] | None:
        """A setting that may stand in router_settings, which wins, or in litellm_settings (there called `other`)."""
        router, litellm = self._section("router_settings"), self._section("litellm_settings")
        other = other or name
        if name in router:
            if other in litellm:
                self._report.never_effective(("litellm_settings", other), WINS)
            return router[name], ("router_settings", name)
        return (litellm[other], ("litellm_settings", other)) if other in litellm else None

    def _timeouts(self) -> Table:
        """For providers whose deployments have none of their own."""
        found: Table = {}
        for setting, given in (
            ("first_byte_timeout_seconds", self._from_either("timeout", "request_timeout")),
            ("idle_timeout_seconds", self._from_either("stream_timeout")),
        ):
            if given is None:
                continue
            value, place = given
            seconds = number(value)
            if seconds is None or not 0 < seconds <= MOST_SECONDS:
                self._report.not_mapped(place, "it is no number of seconds up to a day")
            else:
                found[setting] = seconds
                self._report.mapped(place, f"`{setting}` of providers without their own")
        return found

    def _settings(self) -> None:
        self._retries()
        self._strategy()
        router, litellm, general = (self._section(f"{one}_settings") for one in ("router", "litellm", "general"))
        if "drop_params" in litellm:
            place: Path = ("litellm_settings", "drop_params")
            if litellm["drop_params"] is False:
                self._report.not_mapped(place, NOT_DROPPED)
            else:
                self._report.mapped(place, DROPPED)
        if "enable_pre_call_checks" in router:
            place = ("router_settings", "enable_pre_call_checks")
            self._report.mapped(place, "nothing to set: a prompt that does not fit into a context is sent elsewhere")
        for name in names.CALLBACK_LISTS:
            if name in litellm:
                self._callbacks(("litellm_settings", name), litellm[name])
        self._general(general)

    def _retries(self) -> None:
        if (given := self._from_either("num_retries")) is None:
            return
        value, place = given
        count = whole(value, 1_000, least=0)
        if count is None:
            self._report.not_mapped(place, "it is no whole number")
            return
        self._document.set("routing", "retries", min(count, MOST_RETRIES))
        lowered = f", lowered to {MOST_RETRIES}" if count > MOST_RETRIES else ""
        self._report.mapped(place, f"`retries` of [routing]: rounds after all deployments have failed{lowered}")

    def _strategy(self) -> None:
        router = self._section("router_settings")
        if "routing_strategy" not in router:
            return
        place: Path = ("router_settings", "routing_strategy")
        value = router["routing_strategy"]
        strategy = names.STRATEGIES.get(value) if isinstance(value, str) else None
        if strategy is None:
            self._report.never_effective(place, f"LiteLLM has no such strategy; it has {', '.join(names.STRATEGIES)}")
            return
        self._document.set("routing", "strategy", strategy)
        self._report.mapped(place, f'`strategy = "{strategy}"` of [routing]')

    def _callbacks(self, place: Path, value: object) -> None:
        words = value if isinstance(value, list) else [value]
        for at, word in enumerate(words):
            here = (*place, at) if isinstance(value, list) else place
            if isinstance(word, str) and word in names.CALLBACKS:
                self._report.not_mapped(here, names.CALLBACKS[word])
            elif isinstance(word, str) and "." in word:
                self._report.never_effective(
                    here,
                    "Python code of LiteLLM beside the file; without it LiteLLM does not start, and it is not run here",
                )
            else:
                self._report.never_effective(here, "LiteLLM has no callback of this name")

    def _general(self, general: dict[str, Any]) -> None:
        if "max_parallel_requests" in general:
            count = whole(general["max_parallel_requests"], MOST_COUNT)
            place: Path = ("general_settings", "max_parallel_requests")
            if count is None:
                self._report.not_mapped(place, "it is no whole number above 0")
            else:
                for model in self._document.models.values():
                    for deployment in model.deployments:
                        deployment.setdefault("max_concurrent", count)
                self._report.mapped(place, "`max_concurrent` of the deployments, per worker")
        self._number(general, "global_max_parallel_requests", MOST_COUNT, "server", "max_requests_in_flight", 1)
        self._number(general, "health_check_interval", MOST_SECONDS, "routing", "probe_interval_seconds", 1)
        if "background_health_checks" in general:
            place = ("general_settings", "background_health_checks")
            if general["background_health_checks"] is False:
                self._document.set("routing", "probe_interval_seconds", 0)
                self._report.mapped(place, "`probe_interval_seconds = 0` of [routing]")
            else:
                self._report.mapped(place, "nothing to set: idle deployments are probed")
        self._number(general, "max_request_size_mb", LARGEST_BODY // MEBIBYTE, "server", "max_body_bytes", MEBIBYTE)
        if (body := self._document.tables.get("server", {}).get("max_body_bytes")) and body * 2 > 512 * MEBIBYTE:
            self._document.set("server", "max_buffered_bytes", body * 2)

    def _number(self, general: dict[str, Any], name: str, most: int, table: str, setting: str, times: int) -> None:
        if name not in general:
            return
        count = whole(general[name], most)
        if count is None:
            self._report.not_mapped(("general_settings", name), f"it is no whole number from 1 to {most}")
        else:
            self._document.set(table, setting, count * times)
            self._report.mapped(("general_settings", name), f"`{setting}` of [{table}]")

    # --- other names and fallbacks

    def _aliases(self, pools: Pools) -> None:
        place: Path = ("router_settings", "model_group_alias")
        given = self._section("router_settings").get("model_group_alias")
        if not isinstance(given, dict):
            return
        for alias, meant in given.items():
            here = (*place, alias)
            of = meant.get("model") if isinstance(meant, dict) else meant
            if not isinstance(of, str) or not pools.alias(alias, of):
                self._report.never_effective(here, "model_list has no model that it could mean")
                continue
            if isinstance(meant, dict):
                self._report.mapped((*here, "model"), "a model with the same deployments")
                self._report.not_mapped(here, "a model that a key may call is listed: restrict keys to models instead")
            else:
                self._report.mapped(here, "a model with the same deployments")

    def _fallbacks(self, pools: Pools) -> None:
        """A fallback is a deployment of a higher `priority`: it serves when no lower one can."""
        named: set[str] = set()
        for setting in ("fallbacks", "context_window_fallbacks"):
            if (given := self._from_either(setting)) is None:
                continue
            value, place = given
            if not isinstance(value, list):
                self._report.never_effective(place, "LiteLLM requires a list of tables")
                continue
            for at, table in enumerate(value):
                for name, others in table.items() if isinstance(table, dict) else ():
                    here = (*place, at, name)
                    if name == "*" and setting == "fallbacks":
                        self._default_fallbacks(pools, others, here, named)
                    elif isinstance(others, list):
                        named.add(name)
                        self._fall_back(pools, name, others, here, setting)
        if (given := self._from_either("default_fallbacks")) is not None:
            value, place = given
            self._default_fallbacks(pools, value, place, named)

    def _fall_back(self, pools: Pools, name: str, others: list[object], place: Path, setting: str) -> None:
        for at, other in enumerate(others):
            here = (*place, at)
            if isinstance(other, dict):
                self._report.not_mapped(here, "a fallback with parameters of its own: make it a model, and name that")
            elif not isinstance(other, str) or not pools.fall_back(name, other):
                self._report.never_effective(here, "model_list has no such model, or not the one that it stands for")
            else:
                to = f"deployments of {pools.id_for(name)!r} with a higher `priority`"
                if setting == "context_window_fallbacks":
                    to += "; a prompt that fits only there is sent there"
                self._report.mapped(here, to)

    def _default_fallbacks(self, pools: Pools, value: object, place: Path, named: set[str]) -> None:
        words = value if isinstance(value, list) else [value]
        for at, other in enumerate(words):
            here = (*place, at) if isinstance(value, list) else place
            if not isinstance(other, str) or other not in pools.ids:
                self._report.never_effective(here, "model_list has no such model")
                continue
            for name in [one for one in pools.ids if one not in named and one != other and not pools.is_alias(one)]:
                pools.fall_back(name, other)
            self._report.mapped(here, "deployments of all models without fallbacks, with a higher `priority`")

    # --- what is left

    def _rest(self) -> None:
        """Every section that LiteLLM knows, and everything that it does not."""
        credentials = self._tree.get("credential_list")
        for at, one in enumerate(credentials if isinstance(credentials, list) else ()):
            if isinstance(one, dict):
                if "credential_name" in one:
                    self._report.mapped(("credential_list", at, "credential_name"), "the providers that use it")
                self._report.not_mapped(("credential_list", at), "no deployment uses it")
        for name, value in self._tree.items():
            if (known := names.SECTIONS.get(name)) is not None:
                self._section_rest(name, value, known)
            elif why := names.SECTIONS_NOT_MAPPED.get(name):
                self._report.not_mapped((name,), why)
            elif name not in ("model_list", "credential_list"):
                homes = [section for section, words in names.SECTIONS.items() if name in words]
                near = closest(name, [*names.SECTIONS, *names.SECTIONS_NOT_MAPPED, "model_list"], 0.85)
                if homes:
                    why = f"LiteLLM reads it in {' or '.join(homes)}"
                else:
                    why = f"LiteLLM has no such section; it has {near!r}" if near else "LiteLLM has no such section"
                self._report.never_effective((name,), why)

    def _section_rest(self, section: str, value: object, known: frozenset[str]) -> None:
        if not isinstance(value, dict):
            self._report.never_effective((section,), "LiteLLM requires a table")
            return
        not_mapped = {
            "litellm_settings": names.LITELLM_NOT_MAPPED,
            "router_settings": names.ROUTER_NOT_MAPPED,
            "general_settings": names.GENERAL_NOT_MAPPED,
        }[section]
        for name in value:
            place: Path = (section, name)
            if why := not_mapped.get(name):
                self._report.not_mapped(place, why)
            elif name in known:
                self._report.never_effective(place, "its value is not of the kind that LiteLLM reads")
            else:
                homes = [one for one, words in names.SECTIONS.items() if name in words]
                near = closest(name, known, 0.85)
                if homes:
                    why = f"LiteLLM reads it in {' or '.join(homes)}"
                else:
                    why = f"LiteLLM does not know it; it knows {near!r}" if near else "LiteLLM does not know it"
                self._report.never_effective(place, why)
