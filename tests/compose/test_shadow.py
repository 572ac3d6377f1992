"""A share of the calls is also sent elsewhere. Callers notice nothing of it, and nothing of it is kept but counts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.compose.test_serving import Held, Running, run, running, until

from fairlead.compose.version import version_of
from fairlead.errors import ConfigurationError
from fairlead.ledger.verify import verify
from fairlead.routing.shadow import Mirrors
from fairlead.settings import parse_settings
from fairlead.telemetry.cells import SHADOW, SHADOW_COST, SHADOW_ORIGINAL, SHADOW_ORIGINAL_COST, SeriesName
from fairlead.telemetry.layout import OUTCOMES, OUTPUT_TOKENS
from fairlead.testing import ScriptedUpstream

SECRET = "the words of the caller"
TARGET = "other/m"


def configuration(real: ScriptedUpstream, other: ScriptedUpstream, shadow: str = 'share = 1\nto = "other"') -> str:
    return (
        f'[shadow]\n{shadow}\n'
        f'[[providers]]\nid = "p"\nbase_url = "{real.url}"\n'
        f'[[providers]]\nid = "other"\nbase_url = "{other.url}"\napi_key = "sk-other"\n'
        '[[models]]\nid = "m"\n[[models.deployments]]\nprovider = "p"\nupstream_model = "x"\n'
        'price = { input = "1", output = "2" }\n'
        '[[models]]\nid = "quiet"\n[[models.deployments]]\nprovider = "p"\nupstream_model = "y"\nprice = "free"\n'
    )  # fmt: skip


def counted(it: Running, kind: str) -> dict[int, int]:
    """What a series has counted since the start, by slot."""
    found: dict[int, int] = {}
    for cell in it.parts._recorder._open.values():
        if cell.name == SeriesName(kind, "m", TARGET):
            for slot, count in cell.nonzero().items():
                found[slot] = found.get(slot, 0) + count
    return found


def outcomes(it: Running, kind: str) -> dict[str, int]:
    return {OUTCOMES[slot]: count for slot, count in counted(it, kind).items() if slot < len(OUTCOMES)}


@pytest.mark.parametrize("stream", [False, True])
def test_a_mirrored_call_is_compared_and_not_charged(tmp_path: Path, stream: bool) -> None:
    with ScriptedUpstream() as real, ScriptedUpstream() as other:

        async def test() -> None:
            async with running(tmp_path, configuration(real, other)) as it:
                asked = [{"role": "user", "content": SECRET}]
                answer = await it.caller().call("m", messages=asked, stream=stream, max_tokens=9)
                assert answer.status == 200
                assert (await it.caller().call("quiet", stream=stream)).status == 200
                await until(lambda: bool(outcomes(it, SHADOW)) and not it.parts._mirrors.under_way)
                [first] = [one for one in real.requests if one.json["model"] == "x"]
                mirrored = [one for one in other.requests if one.json["model"] == "m"]
                assert len(mirrored) == 1
                assert mirrored[0].headers["authorization"] == "Bearer sk-other"
                assert mirrored[0].headers["x-fairlead-shadow"] == "1"
                assert mirrored[0].json["messages"] == first.json["messages"]
                assert mirrored[0].json["max_tokens"] == 9
                assert outcomes(it, SHADOW) == outcomes(it, SHADOW_ORIGINAL) == {"served": 1}
                tokens = counted(it, SHADOW)[OUTPUT_TOKENS]
                assert tokens == counted(it, SHADOW_ORIGINAL)[OUTPUT_TOKENS] > 0
                assert counted(it, SHADOW_COST)[OUTPUT_TOKENS] == counted(it, SHADOW_ORIGINAL_COST)[OUTPUT_TOKENS]
                await it.parts.ledger.flush()
                with it.store.snapshot() as connection:
                    found = verify(connection, 0, lambda _: lambda _: None)
                assert (found.records, found.discrepancy) == (2, None), "no bill but those of the callers"

        run(test)
    for file in (tmp_path / "data").rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes()


def test_the_original_waits_for_nothing_and_a_failing_target_harms_nobody(tmp_path: Path) -> None:
    with ScriptedUpstream() as real, Held() as other:

        async def test() -> None:
            async with running(tmp_path, configuration(real, other)) as it:
                caller = it.caller()
                for _ in range(3):
                    assert (await caller.call("m")).status == 200
                assert it.parts._mirrors.under_way == 3, "they are under way, and their originals were answered"
                other.resume.set()
                await until(lambda: not it.parts._mirrors.under_way)
                other.stop()
                for _ in range(5):
                    assert (await caller.call("m")).status == 200
                await until(lambda: not it.parts._mirrors.under_way)
                assert outcomes(it, SHADOW_ORIGINAL) == {"served": 8}
                assert outcomes(it, SHADOW)["served"] == 3
                assert sum(outcomes(it, SHADOW).values()) == 8
                assert TARGET not in it.parts.health.by_deployment, "no breaker has heard of it"

        run(test)


def test_concurrency_and_budget_are_bounded(tmp_path: Path) -> None:
    with ScriptedUpstream() as real, Held() as other:
        limited = 'share = 1\nto = "other"\nmax_concurrent = 2\nmodels = ["m"]'

        async def test() -> None:
            async with running(tmp_path, configuration(real, other, limited)) as it:
                caller = it.caller()
                for _ in range(6):
                    assert (await caller.call("m", max_tokens=5)).status == 200
                assert it.parts._mirrors.under_way == 2
                other.resume.set()
                await until(lambda: not it.parts._mirrors.under_way)
                assert len(other.requests) == 2
                # A call of 5 tokens costs at least 10 millionths of a dollar.
                await it.apply(configuration(real, other, limited + '\nbudget_usd = "0.000001"'))
                assert (await caller.call("m", max_tokens=5)).status == 200
                await asyncio.sleep(0.05)
                assert len(other.requests) == 2
                await it.apply(configuration(real, other, "share = 0"))
                assert it.parts.servings.now.shadow is None
                assert (await caller.call("m")).status == 200
                assert len(other.requests) == 2

        run(test)


def test_the_budget_of_a_day_begins_again_and_takes_back_what_was_not_spent() -> None:
    now = [0.0]
    mirrors = Mirrors(lambda: now[0])
    assert mirrors.reserve(60, 100)
    assert not mirrors.reserve(60, 100)
    mirrors.correct(60, 10)
    assert mirrors.reserve(60, 100)
    assert not mirrors.reserve(60, 100)
    now[0] = 86_400.0
    assert mirrors.reserve(100, 100)


def test_nothing_is_mirrored_by_default_and_a_share_is_a_share(tmp_path: Path) -> None:
    with ScriptedUpstream() as real, ScriptedUpstream() as other:

        async def test() -> None:
            async with running(tmp_path, configuration(real, other, 'to = "other"')) as it:
                assert it.parts.servings.now.shadow is None
                await it.apply(configuration(real, other, 'share = 0.25\nto = "other"\nmax_concurrent = 100'))
                shadow: Any = it.parts.servings.now.shadow
                chances = iter([0.9, 0.3, 0.25, 0.24, 0.0, 0.5])
                shadow._chance = lambda: next(chances)
                caller = it.caller()
                for _ in range(6):
                    await caller.call("m")
                await until(lambda: outcomes(it, SHADOW) == {"served": 2})

        run(test)


@pytest.mark.parametrize(
    ("shadow", "words"),
    [
        ('share = 1\nto = "othr"', "did you mean 'other'"),
        ("share = 0.5", "'to' is missing"),
        ('to = "other"\nmodels = ["nothing"]', "there is no model 'nothing'"),
        ("share = 2", "share"),
        ('budget_usd = "-1"', "budget_usd"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(shadow: str, words: str) -> None:
    text = f'[shadow]\n{shadow}\n[[providers]]\nid = "other"\nbase_url = "http://127.0.0.1:1/v1"\n'
    with pytest.raises(ConfigurationError) as raised:
        version_of(parse_settings(text, "f.toml", {}), [])
    assert words in raised.value.message
    assert raised.value.message.startswith("f.toml:")


def test_the_report_has_both_sides(tmp_path: Path) -> None:
    from tests.e2e.fork_server import run as command

    with ScriptedUpstream() as real, ScriptedUpstream() as other:

        async def test() -> None:
            async with running(tmp_path, configuration(real, other)) as it:
                caller = it.caller()
                for _ in range(3):
                    await caller.call("m")
                await until(lambda: outcomes(it, SHADOW) == {"served": 3})
                await it.parts.telemetry.flush()

        run(test)
    done = command("shadow", "report", "--window", "30m", "--json", "--data", str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    [one] = json.loads(done.stdout)
    assert (one["model"], one["target"]) == ("m", TARGET)
    assert one["original"]["calls"] == one["mirrored"]["calls"] == 3
    assert one["mirrored"]["cost_usd"] == one["original"]["cost_usd"] != "0.00"
    shown = command("shadow", "report", "--data", str(tmp_path / "data")).stdout
    assert "mirrored" in shown
    assert "original" in shown
