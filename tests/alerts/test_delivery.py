"""Alerts arrive: signed, once where nothing fails, with the same id where something did, and nowhere they should not."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.alerts.support import SECRET, MailServer, Receiver, receiver
from tests.conftest import ROOT

from fairlead.admin.alerts import list_alerts, retry_alert, try_channels
from fairlead.admin.audit import Actor
from fairlead.alerts.delivery import AlertDelivery, Channels, set_rules
from fairlead.alerts.signature import is_genuine, sign
from fairlead.errors import ConfigurationError
from fairlead.settings import AlertSettings, EmailSettings, Secrets, SecretSource, WebhookSettings
from fairlead.settings.sections import SmtpSettings
from fairlead.store import Store, open_store
from fairlead.store.alerts import GIVE_UP_MS, AlertRules, announce, claim
from fairlead.store.tables import alert_outbox

RULES = AlertRules(("webhook",))
ENVIRONMENT = {"HOOK": SECRET, "SMTP": "pass-word", "WRONG": "wrong"}
ACTOR = Actor("command line", "test")


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def settings_for(port: int, **more: Any) -> AlertSettings:
    webhook = WebhookSettings(f"http://127.0.0.1:{port}/hook?x=1", SecretSource(env="HOOK"))
    return AlertSettings(**{"webhook": webhook, "allow_networks": ("127.0.0.0/8",), **more})


def channels(settings: AlertSettings) -> Channels:
    return Channels(settings, Secrets(ENVIRONMENT))


def tell(store: Store, count: int = 1) -> None:
    with store.write() as connection:
        for number in range(count):
            announce(connection, RULES, "budget.threshold", {"key": f"key_{number}", "threshold": 0.8})


def make_due(store: Store) -> None:
    with store.write() as connection:
        connection.execute(update(alert_outbox).values(next_at=0, claimed_until=0))


def deliver_all(store: Store, given: Channels, claim_seconds: float = 60) -> int:
    async def run() -> int:
        delivery = AlertDelivery(store, given, claim_seconds)
        count = 0
        while await delivery.deliver_one():
            count += 1
        return count

    return asyncio.run(run())


def snippet(language: str) -> str:
    text = (ROOT / "docs" / "guides" / "alerts.md").read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)[-1]


def documented_python() -> Callable[..., bool]:
    namespace: dict[str, Any] = {}
    exec(snippet("python"), namespace)
    return namespace["is_genuine"]  # type: ignore[no-any-return]


def test_a_webhook_is_signed_so_that_the_documented_verification_accepts_it(store: Store, hook: Receiver) -> None:
    tell(store)
    assert deliver_all(store, channels(settings_for(hook.port))) == 1
    [got] = hook.got
    assert (got.path, got.event) == ("/hook?x=1", got.told["id"])
    assert got.told["type"] == "budget.threshold"
    assert got.told["data"] == {"key": "key_0", "threshold": 0.8}
    for verify in (is_genuine_now, documented_python()):
        assert verify(SECRET, got.signature, got.body)
        assert not verify(SECRET, got.signature, got.body + b" ")
        assert not verify("another", got.signature, got.body)
    [entry] = list_alerts(store)
    assert (entry["state"], entry["attempts"], entry["error"]) == ("delivered", 1, None)
    assert deliver_all(store, channels(settings_for(hook.port))) == 0


def is_genuine_now(secret: str, header: str, body: bytes) -> bool:
    return is_genuine(secret, header, body, time.time())


def test_a_delivery_that_was_recorded_cannot_be_replayed() -> None:
    body = b'{"id":"evt_1"}'
    now = int(time.time())
    verify = documented_python()
    old = sign(SECRET, body, now - 301)
    assert not verify(SECRET, old, body)
    assert not is_genuine(SECRET, old, body, now)
    renewed = f"t={now},{old.partition(',')[2]}"  # an old signature with a new time
    assert not verify(SECRET, renewed, body)
    assert not is_genuine(SECRET, renewed, body, now)
    assert not is_genuine(SECRET, sign(SECRET, body, now + 301), body, now)
    assert verify(SECRET, sign(SECRET, body, now - 200), body)
    for broken in ("", "t=,v1=", "t=x,v1=y", f"t={now}", f"t={now},t={now},v1=0", "v1=é", f"t={now},v1=é"):
        assert not is_genuine(SECRET, broken, body, now)


def test_the_documented_verification_for_node(tmp_path: Path) -> None:
    (tmp_path / "verify.mjs").write_text(snippet("js"))
    now = int(time.time())
    body = '{"id":"evt_1","ü":1}'
    cases = [
        (SECRET, sign(SECRET, body.encode(), now), body, True),
        (SECRET, sign(SECRET, body.encode(), now), body + " ", False),
        ("another", sign(SECRET, body.encode(), now), body, False),
        (SECRET, sign(SECRET, body.encode(), now - 301), body, False),
        (SECRET, f"t={now},{sign(SECRET, body.encode(), now - 301).partition(',')[2]}", body, False),
    ]
    lines = [f"is({secret!r}, {header!r}, {text!r}, {str(right).lower()});" for secret, header, text, right in cases]
    (tmp_path / "main.mjs").write_text(
        "import { isGenuine } from './verify.mjs';\n"
        "const is = (secret, header, body, right) => {\n"
        "  if (isGenuine(secret, header, Buffer.from(body)) !== right) throw new Error(header);\n};\n"
        + "\n".join(lines)
    )
    done = subprocess.run(["node", "main.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("status", [500, 404, 301, 302, 307])
def test_what_fails_is_sent_again_later_with_the_same_id_and_a_redirect_is_not_followed(
    store: Store, hook: Receiver, status: int
) -> None:
    tell(store)
    given = channels(settings_for(hook.port))
    hook.status = status
    assert deliver_all(store, given) == 1
    [entry] = list_alerts(store)
    assert (entry["state"], entry["attempts"], entry["error"]) == ("waiting", 1, f"the receiver answered {status}")
    assert deliver_all(store, given) == 0  # not before its time
    hook.status = 204
    make_due(store)
    assert deliver_all(store, given) == 1
    first, second = hook.got
    assert (first.event, first.body) == (second.event, second.body)
    assert [one.path for one in hook.got] == ["/hook?x=1"] * 2
    assert list_alerts(store)[0]["state"] == "delivered"


def test_waits_double_and_end_after_three_days(store: Store, hook: Receiver) -> None:
    tell(store)
    given = channels(settings_for(hook.port))
    hook.status = 503
    waits = []
    for _ in range(4):
        make_due(store)
        before = time.time() * 1000
        deliver_all(store, given)
        with store.read() as connection:
            waits.append((connection.execute(select(alert_outbox.c.next_at)).scalar_one() - before) / 1000)
    assert [wait >= least for wait, least in zip(waits, (10, 20, 40, 80), strict=True)] == [True] * 4
    assert [wait < 1.25 * least + 30 for wait, least in zip(waits, (10, 20, 40, 80), strict=True)] == [True] * 4
    with store.write() as connection:
        connection.execute(update(alert_outbox).values(at=alert_outbox.c.at - GIVE_UP_MS))
    make_due(store)
    deliver_all(store, given)
    [entry] = list_alerts(store, "dead")
    assert entry["attempts"] == 5
    make_due(store)
    assert deliver_all(store, given) == 0
    hook.status = 200
    assert retry_alert(store, ACTOR, entry["id"]) == 1
    assert deliver_all(store, given) == 1
    assert {one.event for one in hook.got} == {entry["id"]}
    assert list_alerts(store)[0]["state"] == "delivered"
    assert retry_alert(store, ACTOR, entry["id"]) == 0
    with pytest.raises(ConfigurationError, match="There is no alert 'evt_x'"):
        retry_alert(store, ACTOR, "evt_x")
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM audit_log WHERE action = 'alert.retry'").scalar() == 1


def test_of_many_processes_each_alert_is_claimed_by_one(store: Store) -> None:
    tell(store, 30)
    claimed: list[int] = []
    failures: list[BaseException] = []

    def process() -> None:
        try:
            while True:
                with store.write() as connection:
                    row = claim(connection, ("webhook",), 60)
                if row is not None:
                    claimed.append(row.id)
                    continue
                with store.read() as connection:
                    if connection.execute(select(alert_outbox.c.id).where(alert_outbox.c.claimed_until == 0)).first():
                        continue
                return
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=process) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(claimed) == list(range(1, 31))


CHILD = """
    import asyncio, sys
    from pathlib import Path
    from fairlead.alerts.delivery import AlertDelivery, Channels
    from fairlead.settings import AlertSettings, Secrets, SecretSource, WebhookSettings
    from fairlead.store import open_store
    data, url, port = sys.argv[1:]
    store = open_store(Path(data), url or None)
    webhook = WebhookSettings(f"http://127.0.0.1:{port}/hook", SecretSource(env="HOOK"))
    settings = AlertSettings(webhook=webhook, allow_networks=("127.0.0.0/8",))
    asyncio.run(AlertDelivery(store, Channels(settings, Secrets({"HOOK": "whsec-of-a-test"})), 1.0).deliver_one())
"""


def test_a_process_that_is_killed_while_it_delivers_loses_nothing(
    store: Store, hook: Receiver, database_url: str | None
) -> None:
    """kill -9 between the commit of the alert and its delivery: it arrives once more, with the same id."""
    tell(store, 2)
    hook.hold.clear()
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(store.directory), database_url or "", str(hook.port)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    deadline = time.monotonic() + 60
    while not hook.got and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait(60)
    hook.hold.set()
    given = channels(settings_for(hook.port))
    while len(hook.got) < 3 and time.monotonic() < deadline:
        deliver_all(store, given)
        time.sleep(0.1)
    events = [one.event for one in hook.got]
    assert len(events) == 3
    assert len(set(events)) == 2
    assert events.count(events[0]) == 2
    assert {entry["state"] for entry in list_alerts(store)} == {"delivered"}


@pytest.mark.parametrize(
    ("networks", "reason"), [((), "private"), (("10.0.0.0/8",), "private"), (("127.0.0.0/8",), "delivered")]
)
def test_a_webhook_on_this_machine_is_refused_unless_its_network_is_allowed(
    tmp_path: Path, hook: Receiver, networks: tuple[str, ...], reason: str
) -> None:
    [tried] = asyncio.run(try_channels(channels(settings_for(hook.port, allow_networks=networks))))
    assert reason in (tried.error or "delivered")
    assert len(hook.got) == (reason == "delivered")


def test_a_secret_that_cannot_be_read_is_tried_again_and_never_shown(store: Store, hook: Receiver) -> None:
    tell(store)
    missing = WebhookSettings(f"http://127.0.0.1:{hook.port}/", SecretSource(env="MISSING"))
    assert deliver_all(store, channels(settings_for(hook.port, webhook=missing))) == 1
    [entry] = list_alerts(store)
    assert entry["state"] == "waiting"
    assert "MISSING is not set" in entry["error"]
    assert hook.got == []


def test_no_alert_waits_where_no_channel_is_configured(store: Store) -> None:
    rules = AlertRules()
    set_rules(rules, AlertSettings())
    assert rules == AlertRules((), (500_000, 800_000, 950_000, 1_000_000))
    with store.write() as connection:
        announce(connection, rules, "budget.threshold", {})
    assert list_alerts(store) == []


# --- mail


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and one that trusts it."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "k.pem", "-out",
         tmp_path / "c.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    return server, ssl.create_default_context(cafile=str(tmp_path / "c.pem"))


@pytest.fixture
def mail(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[MailServer]:
    server = MailServer(tls[0])
    yield server
    server.close()


def mailing(mail: MailServer, password: str = "SMTP") -> AlertSettings:
    smtp = SmtpSettings("localhost", mail.port, username="fairlead", password=SecretSource(env=password))
    return AlertSettings(email=EmailSettings(("ops@example.org", "on-call@example.org"), smtp, "fairlead@example.org"))


def test_an_alert_is_mailed_with_starttls_and_a_password(
    store: Store, mail: MailServer, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    data = {"key": "key_1", "threshold": 0.8, "period": "day", "budget_usd": "0.50", "spent_usd": "0.41"}
    with store.write() as connection:
        announce(connection, AlertRules(("email",)), "budget.threshold", data)
    given = Channels(mailing(mail), Secrets(ENVIRONMENT), tls=tls[1])
    mail.refuses = "451 later"
    assert deliver_all(store, given) == 1
    assert list_alerts(store)[0]["error"] == "the mail server answered 451"
    mail.refuses = ""
    make_due(store)
    assert deliver_all(store, given) == 1
    [(user, password, text)] = mail.mails
    assert (user, password) == ("fairlead", "pass-word")
    message = message_from_string(text)
    assert message["subject"] == "[Fairlead] 80 % of the budget of key key_1 (day) is spent"
    assert (message["from"], message["to"]) == ("fairlead@example.org", "ops@example.org, on-call@example.org")
    event = list_alerts(store)[0]["id"]
    assert message["message-id"] == f"<{event}@fairlead>"
    assert "spent usd: 0.41" in message.get_payload()
    assert "pass-word" not in text


def test_a_mail_server_whose_certificate_is_not_trusted_gets_no_password(store: Store, mail: MailServer) -> None:
    [tried] = asyncio.run(try_channels(Channels(mailing(mail), Secrets(ENVIRONMENT))))
    assert tried.error
    assert mail.mails == []


def test_a_wrong_password_is_said_in_a_number(mail: MailServer, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    [tried] = asyncio.run(try_channels(Channels(mailing(mail, "WRONG"), Secrets(ENVIRONMENT), tls=tls[1])))
    assert tried.error == "the mail server answered 535"
