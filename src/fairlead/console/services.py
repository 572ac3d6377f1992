"""What the pages of the console use of the process that they run in; `compose` binds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fairlead.catalogue.snapshot import Snapshot
from fairlead.settings import Settings
from fairlead.store import Store


async def _nothing() -> None:
    return


def _empty() -> Snapshot:
    raise RuntimeError("no snapshot is served here")


@dataclass(slots=True)
class ConsoleServices:
    """`settings`, `snapshot`: what is in force now. `flush`: stores the usage that is still in memory, so that pages
    show it. `credited(account id)`: tells the ledger that an account has new credit.
    `mail(to, subject, text)`: sends a mail, in a thread; raises NotDelivered."""

    store: Store
    settings: Callable[[], Settings]
    snapshot: Callable[[], Snapshot] = _empty
    public_url: str | None = None
    flush: Callable[[], Awaitable[None]] = _nothing
    credited: Callable[[str], None] = field(default=lambda _: None)
    has_mail: Callable[[], bool] = field(default=lambda: False)
    mail: Callable[[str, str, str], None] = field(default=lambda _to, _subject, _text: None)
