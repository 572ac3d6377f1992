"""The providers of the demonstration: one scripted upstream, which answers at `/PROVIDER/v1` as fast, and as faulty, as
the provider is."""

from __future__ import annotations

import random
from typing import Final

from fairlead.demo.providers import BY_PROVIDER, MODELS, DemoModel, Provider
from fairlead.testing.connection import Received, Wire
from fairlead.testing.replies import Reply
from fairlead.testing.upstream import ScriptedUpstream

BY_UPSTREAM: Final = {one.upstream: one for one in MODELS}
# Requests that are kept: a demonstration may run for days.
KEPT_REQUESTS: Final = 16
FAULTY_STATUS: Final = (500, 502, 503, 429)
SENTENCES: Final = (
    "This answer was written by a script: the demonstration has no model behind it.",
    "It comes word by word, as fast as the provider that it stands for.",
    "Tokens are counted, priced and charged as those of a real answer would be.",
    "The receipt of this call shows how the charge was made up.",
    "A provider of the demonstration fails now and then, and the call goes on with another one.",
    "Nothing of what you write leaves this machine.",
)


class DemoUpstream(ScriptedUpstream):
    """See `ScriptedUpstream`. `address`: without a path."""

    def __init__(self, port: int = 0, *, seed: int = 1) -> None:
        super().__init__(port=port)
        self._chance = random.Random(seed)  # noqa: S311 - a demonstration

    @property
    def address(self) -> str:
        return self.url.removesuffix("/v1")

    async def answer(self, request: Received, wire: Wire) -> bool:
        del self.requests[:-KEPT_REQUESTS]
        self.default = self._reply(request)  # taken before anything is awaited
        return await super().answer(request, wire)

    def _reply(self, request: Received) -> Reply:
        provider = BY_PROVIDER.get(request.path.split("/")[1])
        try:
            asked = request.json if request.body else {}
            model = BY_UPSTREAM.get(asked.get("model", ""))
        except (ValueError, AttributeError):
            return Reply()
        if provider is None or model is None:
            return Reply()
        most = next((asked[name] for name in ("max_tokens", "max_completion_tokens") if asked.get(name)), 10_000)
        return self._scripted(provider, model, len(request.body), most)

    def _scripted(self, provider: Provider, model: DemoModel, size: int, most: int) -> Reply:
        chance = self._chance
        if chance.random() < provider.faults:
            return Reply(status=chance.choice(FAULTY_STATUS), delay_seconds=0.2)
        first = model.first_ms / 1000 * provider.delay * chance.lognormvariate(0, 0.3)
        speed = model.speed * provider.pace * chance.lognormvariate(0, 0.15)
        words: list[str] = []
        while len(words) < chance.randint(12, 180):
            words += chance.choice(SENTENCES).split()
        text = " ".join(words[: max(1, most)])
        prompt = max(8, size // 4)
        output = min(most, len(words) * 4 // 3)
        cached = prompt // 2 // 64 * 64 if model.cached else 0
        usage = {
            "prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": cached},
        }  # fmt: skip
        return Reply(
            text=text, usage=usage, delay_seconds=first, chunk_delay_seconds=1 / speed, prompt_tokens=prompt,
            completion_tokens=output,
        )  # fmt: skip
