"""What can be called now, why not, and what an operator should look at."""

from __future__ import annotations

from fairlead.accounts.sharing import SharedLimits
from fairlead.compose.following import Following
from fairlead.ledger.ledger import Ledger
from fairlead.ledger.unreadable import UNREADABLE
from fairlead.serving import Servings
from fairlead.store import Store


class Readiness:
    def __init__(
        self,
        servings: Servings,
        ledger: Ledger,
        store: Store,
        following: Following,
        sharing: SharedLimits | None = None,
    ) -> None:
        self._servings = servings
        self._ledger = ledger
        self._store = store
        self._following = following
        self._sharing = sharing

    def obstacle(self, model_id: str) -> str | None:
        """Why a model cannot be called now, in a few words; None when it can."""
        offer = self._servings.now.servables.get(model_id)
        if offer is None or not offer.upstreams:
            return "no deployment configured"
        engines = [upstream.gate for upstream in offer.upstreams]
        if any(engine is None or engine.is_ready for engine in engines):
            return None
        if any(engine is not None and engine.gave_up for engine in engines):
            return "the engine crashed too often and is no longer restarted"
        return "the engine is not ready"

    def warnings(self) -> list[str]:
        """What the operator should look at although calls are served."""
        found = self._following.warnings()
        if self._ledger.trouble is not None:
            waiting = self._ledger.waiting_bytes
            found.append(f"usage records cannot be stored ({self._ledger.trouble}); {waiting} bytes wait in the spool")
        if self._sharing is not None and self._sharing.trouble is not None:
            found.append(self._sharing.remark())
        if self._ledger.wallets.trouble is not None:
            found.append(f"credit cannot be leased, so calls that need it are refused ({self._ledger.wallets.trouble})")
        found += [
            f"usage of an earlier process is not in the books: its spool {path} cannot be opened ({why})"
            for path, why in self._ledger.closed_spools.items()
        ]
        if self._ledger.set_aside:
            found.append(
                f"{self._ledger.set_aside} usage records could not be read and are not in the books; "
                f"they are kept in {self._store.directory / UNREADABLE}"
            )
        return found

    def obstacles(self) -> list[str]:
        """Why nothing can be served; empty when any model can be called."""
        if self._ledger.full:
            return ["usage cannot be recorded: the spool is full or cannot be written"]
        reasons = {}
        for model in self._servings.now.snapshot.models.values():
            obstacle = self.obstacle(model.id)
            if obstacle is None:
                return []
            if model.deployments:
                reasons[model.id] = obstacle
        return [f"{name}: {text}" for name, text in reasons.items()] or ["no deployment is configured"]
