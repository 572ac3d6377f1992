"""new-api's database as a configuration, a file of secrets, and a plan of accounts and keys."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from decimal import Decimal
from typing import Any, NamedTuple

from fairlead.accounts.options import MOST_ENTRIES, network
from fairlead.admin.importing.document import Document, checked, is_model_id
from fairlead.admin.importing.new_api.channels import ENABLED, Channels, Groups
from fairlead.admin.importing.new_api.plan import FORMAT, Plan, PlannedAccount, PlannedKey
from fairlead.admin.importing.new_api.prices import QUOTA_PER_DOLLAR, RATIOS, Prices, numbers
from fairlead.admin.importing.new_api.source import Row, Source
from fairlead.admin.importing.report import Report
from fairlead.admin.importing.secrets import Vault
from fairlead.errors import ConfigurationError
from fairlead.money import MOST_PICODOLLARS, PICODOLLARS_PER_DOLLAR, Picodollars

TITLE = "Proposed by `fairlead import new-api`. Nothing of it is in force yet."
DEFAULT_GROUP, ANY_GROUP = "default", "auto"
LONGEST_NAME, LONGEST_KEY = 128, 128
SHOWN_LETTERS = 4  # of a key, behind its sk-
KEY_START = "sk-"
_KEY = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_KEY - len(KEY_START)}}}")


class Imported(NamedTuple):
    """`text`: the document as TOML. `secrets`: lines for a file of environment variables."""

    text: str
    secrets: str
    plan: Plan
    report: Report
    variables: list[str]

    def __repr__(self) -> str:  # it holds secrets
        return "Imported()"


def import_new_api(source: Source, now: float | None = None) -> Imported:
    """Raises ConfigurationError for a document that would not load, which is a mistake of ours."""
    return _Importer(source, int(time.time() if now is None else now)).run()


class _Importer:
    def __init__(self, source: Source, now: int) -> None:
        self._source, self._now = source, now
        self._report = Report({"channels": Channels.tree(source), "options": dict.fromkeys(source.options, "")})
        self._skipped: Counter[tuple[str, str]] = Counter()
        self._per_dollar = self._quota_per_dollar()

    def run(self) -> Imported:
        document, vault = Document(), Vault()
        users = {row["id"]: row for row in self._source.users if self._is_live(row, "users")}
        tokens = [row for row in self._source.tokens if self._is_usable(row, users)]
        prices = Prices(self._source.options, self._group_ratio(tokens, users))
        groups = Channels(self._source, document, vault, prices).add(self._report)
        self._options()
        self._say(prices)
        planned = [key for row in tokens if (key := self._key(row, users[row["user_id"]], groups)) is not None]
        accounts = [self._account(row) for row in users.values()]
        self._count(len(accounts), len(planned))
        document.drop_unused_providers()
        text = document.text(TITLE)
        checked(text)
        used = set(document.variables)
        secrets = "".join(f"{name}={_quoted(value)}\n" for name, value in vault.secrets.items() if name in used)
        plan = Plan(FORMAT, f"new-api at {self._source.shown}"[:200], accounts, planned)
        return Imported(text, secrets, plan, self._report, document.variables)

    # --- who is imported

    def _is_live(self, row: Row, table: str) -> bool:
        if row.get("deleted_at") is not None:
            self._skipped[table, "deleted"] += 1
        elif row.get("status", ENABLED) != ENABLED:
            self._skipped[table, "disabled" if table == "users" else "disabled, expired or exhausted"] += 1
        else:
            return True
        return False

    def _is_usable(self, row: Row, users: dict[Any, Row]) -> bool:
        if not self._is_live(row, "tokens"):
            return False
        key, expires = str(row.get("key") or ""), row.get("expired_time")
        if row.get("user_id") not in users:
            why = "of a user who is deleted or disabled"
        elif isinstance(expires, int) and expires > 0 and expires <= self._now:
            why = "expired"
        elif not row.get("unlimited_quota") and _quota(row.get("remain_quota")) <= 0:
            why = "without quota"
        elif not _KEY.fullmatch(key):
            why = "with a key that is none"
        else:
            return True
        self._skipped["tokens", why] += 1
        return False

    def _account(self, row: Row) -> PlannedAccount:
        name = "".join(letter for letter in str(row.get("username") or "") if letter.isprintable()).strip()
        credit = self._amount(max(0, _quota(row.get("quota"))))
        if _quota(row.get("quota")) < 0:
            self._skipped["users.quota", "below 0: the account is imported without credit"] += 1
        return PlannedAccount(_account_id(row), (name or f"user {row['id']}")[:LONGEST_NAME], credit)

    def _key(self, row: Row, user: Row, groups: Groups) -> PlannedKey | None:
        restricted = self._networks(row)
        if restricted == []:
            self._skipped["tokens", "whose allowed addresses are none"] += 1
            return None
        models = self._models(row, user, groups)
        if models is not None and len(models) > MOST_ENTRIES:
            self._skipped["tokens", f"with more than {MOST_ENTRIES} models"] += 1
            return None
        key = KEY_START + str(row["key"])
        expires = row.get("expired_time")
        name = "".join(letter for letter in str(row.get("name") or "") if letter.isprintable()).strip()
        return PlannedKey(
            digest=hashlib.sha256(key.encode()).hexdigest(),
            shown=key[: len(KEY_START) + SHOWN_LETTERS],
            name=(name or f"token {row['id']}")[:LONGEST_NAME],
            account=_account_id(user),
            expires_at=expires if isinstance(expires, int) and expires > 0 else None,
            budget_usd=None if row.get("unlimited_quota") else self._amount(_quota(row.get("remain_quota"))),
            models=models,
            networks=restricted,
        )

    def _models(self, row: Row, user: Row, groups: Groups) -> list[str] | None:
        """What a token may call: the models of its group, and of those the ones that it is limited to."""
        group = str(row.get("group") or user.get("group") or DEFAULT_GROUP)
        of_group = groups.everything if group == ANY_GROUP else groups.models.get(group, frozenset())
        limited = row.get("model_limits") if row.get("model_limits_enabled") else row.get("models")
        if not limited:
            return None if of_group == groups.everything else sorted(of_group)
        names = {name.strip() for name in str(limited).split(",")}
        return sorted(name for name in names if is_model_id(name) and name in of_group)

    def _networks(self, row: Row) -> list[str] | None:
        """None: from everywhere; an empty list when nothing of what is there is an address."""
        text = str(row.get("allow_ips") or row.get("subnet") or "")
        words = [word for word in re.split(r"[\s,]+", text) if word]
        if not words:
            return None
        found = []
        for word in words[:MOST_ENTRIES]:
            try:
                found.append(network(word))
            except ConfigurationError:
                self._skipped["tokens.allow_ips", "an address that is none was left out"] += 1
        return list(dict.fromkeys(found))

    # --- amounts and options

    def _quota_per_dollar(self) -> int:
        given = self._source.options.get("QuotaPerUnit", "")
        try:
            value = Decimal(given)
        except ArithmeticError:
            return QUOTA_PER_DOLLAR
        return int(value) if value.is_finite() and value == int(value) and 1 <= value <= 10**12 else QUOTA_PER_DOLLAR

    def _amount(self, quota: int) -> str:
        picodollars, rest = divmod(quota * PICODOLLARS_PER_DOLLAR, self._per_dollar)
        if rest:
            self._report.note("Amounts are rounded down to a picodollar, because QuotaPerUnit does not divide it.")
        if picodollars > MOST_PICODOLLARS:
            picodollars = MOST_PICODOLLARS // PICODOLLARS_PER_DOLLAR * PICODOLLARS_PER_DOLLAR
            self._report.note("An amount above nine million dollars was lowered to what an account holds.")
        return Picodollars(picodollars).dollars()

    def _group_ratio(self, tokens: list[Row], users: dict[Any, Row]) -> Decimal:
        """The factor of all prices: that of the groups in use, where they have the same."""
        ratios = numbers(self._source.options.get("GroupRatio")) or {}
        used = {
            str(row.get("group") or users[row["user_id"]].get("group") or DEFAULT_GROUP) for row in tokens
        } - {ANY_GROUP}  # fmt: skip
        found = {ratios.get(name, Decimal(1)) for name in used} or {ratios.get(DEFAULT_GROUP, Decimal(1))}
        if len(found) == 1:
            return found.pop()
        ratio = ratios.get(DEFAULT_GROUP, Decimal(1))
        others = sorted(name for name in used if ratios.get(name, Decimal(1)) != ratio)
        self._report.note(
            f"Prices are those of the group {DEFAULT_GROUP!r}. Callers of {len(others)} other groups had other ratios: "
            "there is one price for all callers."
        )
        return ratio

    def _options(self) -> None:
        for name in self._source.options:
            if name in RATIOS:
                known = numbers(self._source.options[name]) is not None
                claim = self._report.mapped if known else self._report.never_effective
                claim(("options", name), "`price` of the deployments" if known else "it is no JSON table of numbers")
            elif name == "QuotaPerUnit":
                self._report.mapped(("options", name), "what a unit of quota is worth")
            else:
                self._report.not_mapped(("options", name), "a setting of the site")

    def _say(self, prices: Prices) -> None:
        if names := ", ".join(dict.fromkeys(prices.assumed)):
            self._report.note(
                f"The options have no whole price of {names} (new-api has a list of its own): what is missing is taken "
                "from the list prices of this catalogue."
            )
        if names := ", ".join(dict.fromkeys(prices.rounded)):
            self._report.note(f"Prices of {names} are rounded to a picodollar per token.")

    def _count(self, accounts: int, keys: int) -> None:
        add = self._report.add
        add("mapped", f"users ({accounts})", "prepaid accounts, with `quota` as credit")
        add("mapped", f"tokens ({keys})", "keys of these accounts: callers keep them, because their SHA-256 is stored")
        add("mapped", "tokens.remain_quota", "the `total` budget of the key; none for `unlimited_quota`")
        add("mapped", "tokens.expired_time", "when the key expires")
        add("mapped", "tokens.model_limits, tokens.group", "the models that the key may call")
        add("mapped", "tokens.allow_ips", "the networks that the key may come from")
        add("not_mapped", "users.role, passwords, e-mail", "nobody signs on here: keys belong to accounts")
        for (table, why), count in sorted(self._skipped.items()):
            add("not_mapped", f"{table} ({count})", why)
        self._report.note(
            "new-api also takes a key without its `sk-`; here callers must send it whole, as new-api shows it."
        )


def _quota(value: Any) -> int:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _account_id(row: Row) -> str:
    """The same for the same user at each import."""
    return "acc_" + hashlib.sha256(f"new-api/{row['id']}/{row.get('username')}".encode()).hexdigest()[:12]


def _quoted(value: str) -> str:
    """For a shell and for systemd: in single quotes, which a key of printable ASCII may hold itself."""
    return "'" + value.replace("'", "'\\''") + "'"
