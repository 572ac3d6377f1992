"""Those with a key and credit who want to stop the service, or to get answers that they do not pay."""

from __future__ import annotations

import asyncio
import json
import random
import string
from collections.abc import Callable
from typing import Any, Final

from tests.attacks.load.client import Answer, Connection, chat, get, post
from tests.attacks.load.hostile import Attack, Delivery
from tests.attacks.load.scene import FREE, HOSTILE_CAP, LACKING, SINK, SLOW, STUBBORN
from tests.attacks.load.strangers import MEGABYTE, Actor
from tests.attacks.load.upstreams import kinds

CAP: Final = {"max_tokens": HOSTILE_CAP}
NAMES: Final = tuple("".join(random.Random(at).choices(string.ascii_lowercase, k=8)) for at in range(20_000))


def said(text: str = "Tell me something.") -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


async def order(
    attack: Attack,
    body: dict[str, Any] | bytes,
    *headers: str,
    model: str,
    key: str | None = None,
    stop: Callable[[Answer], bool] | None = None,
    what: str = "",
) -> Answer:
    """A chat call, and a note of how many words it delivered."""
    answer = await attack.ask(chat(key or attack.accounts.rich, body, *headers), stop, what)
    if answer.generation and answer.status == 200:
        try:
            words = len([word for word in answer.text().split() if len(word) > 4])
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            words = 0  # it has been noted, or is the middle of an event
        attack.seen.deliveries.append(Delivery(attack.actor, model, answer.status, answer.generation, words))
    return answer


def doubled(depth: int) -> dict[str, Any]:
    """`allOf` of two references to the next level: 2^depth checks."""
    levels = {f"l{at}": {"allOf": [{"$ref": f"#/$defs/l{at + 1}"}] * 2} for at in range(depth)}
    return {"$ref": "#/$defs/l0", "$defs": {**levels, f"l{depth}": {"type": "string"}}}


EVIL: Final[tuple[Any, ...]] = (
    {"$ref": "#/default", "default": {"type": "string", "pattern": "^(a+)+$"}},
    {"type": "string", "pattern": "^(a|a)*$"},
    {"$ref": "#/x/0", "x": [{"pattern": "^(a+)+$"}]},
    {"patternProperties": {"^(a+)+$": False}, "type": ["object", "string"]},
    {"$defs": {"p": {"pattern": "(a*)*b"}}, "allOf": [{"$ref": "#/$defs/p"}]},
    doubled(30),
    doubled(24),
    {"anyOf": [{"not": doubled(30)}, {"not": {}}]},
    {"not": {}},
    {"$ref": "#"},
    {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    {"$schema": 5},
    {"$ref": 5},
    {"$ref": "http://169.254.169.254/latest/"},
    {"$ref": "file:///etc/passwd"},
    {"type": "array", "uniqueItems": True, "items": {"enum": [[at] for at in range(3000)]}},
    {"enum": [{"a": at} for at in range(5000)]},
    {"type": "number", "multipleOf": 1e-308},
    {"type": 7, "properties": 5, "required": "x", "items": "y"},
    {"$dynamicRef": "#a", "$dynamicAnchor": "a"},
    {"properties": {name: {"type": "string"} for name in NAMES[:5000]}, "required": list(NAMES[:5000])},
    {"format": "regex", "type": "string"},
    {"format": "idn-email", "type": "string", "minLength": -5},
)
# A number that Python's int refuses to read back.
LONG_NUMBER: Final = b'{"type": "number", "maximum": ' + b"9" * 5000 + b"}"


def form(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


async def schemas(attack: Attack) -> None:
    schema = attack.random.choice(EVIL)
    body = {
        "model": LACKING,
        "messages": said(),
        "response_format": form(schema),
        "stream": attack.random.random() < 0.3,
    }
    await order(attack, {**body, **CAP}, model=LACKING)


async def broken_schemas(attack: Attack) -> None:
    raw = attack.random.choice(
        [
            LONG_NUMBER,
            b"5",
            b"[]",
            b"true",
            b'"x"',
            b"[" * 3000 + b"]" * 3000,
            b'{"a":' * 2000 + b"1" + b"}" * 2000,
            b'{"const": 1e400}',
        ]
    )
    head = b'{"model": "%b", "messages": [{"role": "user", "content": "x"}], "max_tokens": 50, ' % LACKING.encode()
    key = attack.random.choice([b"response_format", b"structured_outputs", b"tools"])
    value = {
        b"response_format": b'{"type": "json_schema", "json_schema": {"name": "x", "schema": %b}}',
        b"structured_outputs": b'{"json": %b}',
        b"tools": b'[{"type": "function", "function": {"name": "x", "parameters": %b}}]',
    }[key] % raw
    await order(attack, head + b'"%b": %b}' % (key, value), model=LACKING, what=key.decode())


async def deadlines(attack: Attack) -> None:
    """A deadline just before the end of an answer: of a stream that takes 0.36 s, or a whole answer."""
    model = attack.random.choice([SLOW, SLOW, "plain"])
    seconds = attack.random.uniform(0.1, 0.38)
    body = {"model": model, "messages": said(), "stream": attack.random.random() < 0.8, **CAP}
    await order(attack, body, f"x-fairlead-timeout: {seconds:.3f}", model=model)


async def odd_deadlines(attack: Attack) -> None:
    value = attack.random.choice(["0", "-1", "1e400", "nan", "inf", "x", "0.05", "9" * 500, "0x10", "\u00b2"])
    await order(attack, {"model": "plain", "messages": said(), **CAP}, f"x-fairlead-timeout: {value}", model="plain")


async def many_members(attack: Attack) -> None:
    """Names without end, at every place where names may be."""
    chance = attack.random
    names = {f"{chance.choice(NAMES)}{at}": 1 for at in range(chance.choice([500, 20_000]))}
    place = chance.choice(
        ["top", "provider", "metadata", "logit_bias", "fairlead", "message", "tools", "stream_options"]
    )
    body: dict[str, Any] = {"model": SINK, "messages": said(), **CAP}
    if place == "top":
        body |= names
    elif place == "message":
        body["messages"] = [{"role": "user", "content": "x", **names}]
    elif place == "tools":
        body["tools"] = [{"type": "function", "function": {"name": "x", "parameters": {"properties": names}}}]
    elif place == "logit_bias":
        body["logit_bias"] = {str(at): 1 for at in range(len(names))}
    elif place == "metadata":
        body["metadata"] = dict.fromkeys(names, "1")
    else:
        body[place] = names
    await order(attack, body, model=SINK, what=place)


async def nesting(attack: Attack) -> None:
    depth = attack.random.choice([100, 1000, 50_000])
    deep = attack.random.choice([b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"[" * depth])
    place = attack.random.choice([b"x", b"metadata", b"messages", b"tools", b"stop", b"provider", b"response_format"])
    await order(
        attack,
        b'{"model": "sink", "messages": [{"role": "user", "content": "x"}], "%b": %b}' % (place, deep),
        model=SINK,
    )


async def emulated_choices(attack: Attack) -> None:
    """Up to 128 calls for one; half of them left in the middle."""
    count = attack.random.choice([8, 32, 128])
    stream = attack.random.random() < 0.5
    body = {"model": LACKING, "messages": said("x" * 4000), "n": count, "stream": stream, **CAP}
    stop = (lambda answer: len(answer.pieces) > 1) if stream and attack.random.random() < 0.5 else None
    await order(attack, body, model=LACKING, stop=stop)


async def ignored_choices(attack: Attack) -> None:
    model = attack.random.choice([STUBBORN, "plain"])
    await order(
        attack, {"model": model, "messages": said(), "n": 4, "stream": attack.random.random() < 0.5, **CAP}, model=model
    )


async def stops(attack: Attack) -> None:
    """An answer without text."""
    model = attack.random.choice(["plain", SINK])
    stop = attack.random.choice(["harbor", ["harbor", "lantern"], " ", ["a"] * 16, "\u0000"])
    await order(
        attack, {"model": model, "messages": said("x" * 20_000), "stop": stop, "stream": True, **CAP}, model=model
    )


async def fallbacks(attack: Attack) -> None:
    chance = attack.random
    names = [
        "plain",
        f"{FREE}:free",
        FREE,
        f"{SINK}:floor",
        f"{SINK}:nitro",
        "no-such",
        "evil-status_500",
        "evil-close_at_once",
        "plain:free",
    ]
    body = {"messages": said(), "models": [chance.choice(names) for _ in range(chance.randint(1, 16))], **CAP}
    if chance.random() < 0.5:
        body["model"] = chance.choice(names)
    await order(attack, body, model="any", key=chance.choice([attack.accounts.rich, attack.accounts.limited]))


async def disconnects(attack: Attack) -> None:
    """Leaves in every phase: in the head, in the body, before an answer, after a few events; by FIN and by RST."""
    chance = attack.random
    model = chance.choice(["plain", SLOW, SINK])
    data = chat(attack.accounts.rich, {"model": model, "messages": said(), "stream": chance.random() < 0.7, **CAP})
    phase = chance.choice(["head", "body", "waiting", "half-closed", "stream", "stream", "stream"])
    if phase == "stream":
        wanted = chance.randint(1, 9)
        body = {"model": model, "messages": said(), "stream": True, **CAP}
        await order(attack, body, model=model, stop=lambda answer: len(answer.pieces) >= wanted)
        return
    connection = await attack.open()
    cut = {"head": 40, "body": len(data) - 10}.get(phase, len(data))
    connection.writer.write(data[:cut])
    await asyncio.sleep(chance.choice([0, 0.01, 0.05, 0.1]))
    if phase == "half-closed":
        connection.writer.write_eof()
        await asyncio.sleep(0.3)
    if chance.random() < 0.5:
        connection.close()


BLOCK: Final = b"word " * (MEGABYTE // 5)


async def huge_bodies(attack: Attack) -> None:
    """20 to 30 MB: as text, as a picture, as members, as tools."""
    text = BLOCK * attack.random.choice([20, 30])
    head = b'{"model": "sink", "max_tokens": 50, "messages": [{"role": "user", "content": '
    data = attack.random.choice([
        head + b'"' + text + b'"}]}',
        head + b'[{"type": "image_url", "image_url": {"url": "data:image/png;base64,' + b"A" * (len(text) // 4 * 4) + b'"}}]}]}',
        head + b'"x"}], "documents": ["' + text + b'"]}',
        head + b'"x"}], "x": [' + b"1," * (len(text) // 2) + b"1]}",
        b'{"model": "sink", "messages": [' + b'{"role":"user","content":"x"},' * (len(text) // 31) + b'{"role":"user","content":"x"}]}',
    ])  # fmt: skip
    connection = await attack.open()
    connection.writer.write(post("/v1/chat/completions", attack.accounts.rich, data))
    await connection.writer.drain()
    await attack.finish(connection)


async def unpriced(attack: Attack) -> None:
    """Parameters that cost more, and unknown ones."""
    chance = attack.random
    names: dict[str, Any] = {
        "service_tier": "priority", "web_search_options": {}, "n_predict": 100_000, "max_new_tokens": 10**9, "best_of": 50,
        "num_return_sequences": 20, "use_beam_search": True, "min_tokens": 10**6, "ignore_eos": True, "plugins": [{"id": "web"}],
        "store": True, "prompt_logprobs": 20, "documents": ["harbor " * 5000], "chat_template": "{{ '" + "x" * 9000 + "' }}",
        "reasoning_effort": "high", "prediction": {"type": "content", "content": "x " * 3000}, "usage": {"include": True},
    }  # fmt: skip
    body = {"model": chance.choice([SINK, LACKING]), "messages": said(), **CAP}
    body |= {name: names[name] for name in chance.sample(sorted(names), 4)}
    await order(attack, body, model=body["model"])


WRONG: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    1e308,
    10**400,
    "",
    "x" * 70_000,
    [],
    {},
    [None],
    [[]],
    {"": {}},
    "\u0000",
    ["\ud800"],
)


async def wrong_types(attack: Attack) -> None:
    chance = attack.random
    body: dict[str, Any] = {"model": "sink", "messages": said(), **CAP}
    names = ["model", "messages", "n", "stop", "tools", "tool_choice", "response_format", "models", "provider", "fairlead", "stream",
             "stream_options", "audio", "modalities", "metadata", "logit_bias", "temperature", "seed", "user", "structured_outputs"]  # fmt: skip
    for name in chance.sample(names, 2):
        body[name] = chance.choice(WRONG)
    if chance.random() < 0.3:
        body["messages"] = [chance.choice([5, {}, {"role": chance.choice(WRONG), "content": chance.choice(WRONG)},
                                           {"role": "user", "content": [chance.choice(WRONG)]}])]  # fmt: skip
    await order(attack, body, model=SINK)


async def poor_and_parallel(attack: Attack) -> None:
    """A hundred calls at once on a cent, each with most of its prompt where a hold may not look."""
    body = {"model": SINK, "messages": said("x"), "documents": ["harbor lantern " * 2000], **CAP}
    encoded = json.dumps(body).encode()
    await asyncio.gather(
        *(order(attack, encoded, model=SINK, key=attack.accounts.poor) for _ in range(100)), return_exceptions=True
    )


async def unread_streams(attack: Attack) -> None:
    """Answers that are asked for and never read."""
    connection = await attack.open()
    body = {"model": "evil-huge_frame", "messages": said(), "stream": attack.random.random() < 0.5}
    data = chat(attack.accounts.rich, body)
    connection.writer.write(data * 8)
    await asyncio.sleep(4)


async def look_ups(attack: Attack) -> None:
    """What belongs to others."""
    key = attack.accounts.poor
    for path in (
        "/v1/key",
        "/v1/credits",
        "/v1/generation?id=gen-1",
        "/v1/receipts/..%2f..%2f",
        "/v1/generation?id=" + "9" * 3000,
    ):
        await attack.ask(get(path, key), what=path[:30])
    codes = attack.random.choice([5, None, "fl-code-" + "A" * 5000, ["x"], "\u0000"])
    await attack.ask(post("/v1/credits/redeem", key, json.dumps({"code": codes}).encode()))
    await attack.ask(post("/v1/plan", key, json.dumps({"model": "plain", "messages": said()}).encode()))


async def evil_providers(attack: Attack) -> None:
    """Asks every broken provider in turn, streamed and whole."""
    kind = attack.random.choice(sorted(kinds()))
    body: dict[str, Any] = {"model": f"evil-{kind}", "messages": said(), "stream": attack.random.random() < 0.6, **CAP}
    if body["stream"] and attack.random.random() < 0.5:
        body["stream_options"] = {"include_usage": True}
    await order(attack, body, model=body["model"], what=kind)


async def pipelined_calls(attack: Attack) -> None:
    """Many calls on one connection, sent before the first one is answered."""
    connection: Connection = await attack.open()
    data = chat(attack.accounts.limited, {"model": "plain", "messages": said(), **CAP})
    connection.writer.write(data * 20)
    for _ in range(20):
        await attack.finish(connection)


CUSTOMERS: Final = (
    Actor(schemas, 8, 0.3),
    Actor(broken_schemas, 2, 0.2),
    Actor(deadlines, 4, 0.1),
    Actor(odd_deadlines, 1, 0.2),
    Actor(many_members, 2, 0.5),
    Actor(nesting, 2, 0.3),
    Actor(emulated_choices, 2, 1.0),
    Actor(ignored_choices, 4, 0.2),
    Actor(stops, 2, 0.2),
    Actor(fallbacks, 2, 0.1),
    Actor(disconnects, 8, 0.1),
    Actor(huge_bodies, 1, 8.0),  # 30 Mbit/s
    Actor(unpriced, 2, 0.2),
    Actor(wrong_types, 2, 0.1),
    Actor(poor_and_parallel, 1, 3.0),
    Actor(unread_streams, 3, 1.0),
    Actor(look_ups, 1, 0.3),
    Actor(evil_providers, 12, 0.1),
    Actor(pipelined_calls, 1, 0.5),
)
