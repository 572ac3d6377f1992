"""A hold ends with what can be charged, and everything else is free again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from fairlead.ledger.wallets import Hold, Scope, Wallet

AMOUNTS = some.integers(0, 2**62)


@given(free=some.lists(some.integers(-(2**62), 2**62), min_size=1, max_size=3), amount=AMOUNTS, price=AMOUNTS)
def test_a_hold_is_charged_up_to_what_the_poorest_wallet_has_beside_it(
    free: list[int], amount: int, price: int
) -> None:
    wallets = []
    for number, left in enumerate(free):
        wallet = Wallet(Scope(f"scope {number}"))
        wallet.free, wallet.held = left, amount
        wallets.append(wallet)
    hold = Hold(wallets, amount)
    assert hold.scopes == tuple(wallet.scope.name for wallet in wallets)
    charged = hold.settle(price)
    assert charged == min([price, *(amount + max(0, left) for left in free)])
    for wallet, left in zip(wallets, free, strict=True):
        assert wallet.held == 0
        assert wallet.free == left + amount - charged
    assert hold.scopes == ()
