"""Tool calls to learn from: definitions, questions that need them, arguments, results and answers.

Some tools are the ones that every tutorial uses; others are made up on the spot, so that the model learns to read a
definition instead of remembering it. Values are often invented words: they can only be copied from the question.
"""

# Sentences and word lists stay on one line each.
# ruff: noqa: E501, SIM905

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import words

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Arguments: TypeAlias = dict[str, Json]


@dataclass(frozen=True)
class ToolCase:
    """One tool, one question for it, the right arguments, a result and the answer that uses the result."""

    definition: dict[str, Json]
    question: str
    arguments: Arguments
    result: str
    answer: str

    @property
    def name(self) -> str:
        function = self.definition["function"]
        assert isinstance(function, dict)
        return str(function["name"])


@dataclass(frozen=True)
class Parameter:
    name: str
    type: str = "string"
    description: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False


def define(rng: random.Random, name: str, description: str, parameters: list[Parameter]) -> dict[str, Json]:
    """An OpenAI tool definition; details that callers leave out in practice are left out at random."""
    properties: dict[str, Json] = {}
    for parameter in parameters:
        schema: dict[str, Json] = {"type": parameter.type}
        if parameter.choices:
            schema["enum"] = list(parameter.choices)
        if rng.random() < 0.4:
            schema["description"] = _explained(rng, parameter)
        properties[parameter.name] = schema
    body: dict[str, Json] = {"type": "object", "properties": properties}
    if rng.random() < 0.85:
        body["required"] = [parameter.name for parameter in parameters if not parameter.optional]
    if rng.random() < 0.12:
        body["additionalProperties"] = False
    if rng.random() < 0.3:
        description += rng.choice([".", ".", " for the user", " by its name", f" from {words.invented_name(rng)}", ". Returns JSON.",
                                   f". Use this when the user asks about {words.plain_word(rng)}.", " right now", " in our system."])  # fmt: skip
    function: dict[str, Json] = {"name": name}
    if rng.random() < 0.88:
        function["description"] = description
    if rng.random() < 0.06:
        function["strict"] = True
    function["parameters"] = body
    return {"type": "function", "function": function}


def _explained(rng: random.Random, parameter: Parameter) -> str:
    spoken = parameter.name.replace("_", " ")
    example = rng.choice([words.city(rng), words.person(rng), words.plain_word(rng), words.random_code(rng)])
    return rng.choice([parameter.description or f"The {spoken}", f"The {spoken}", f"{spoken.capitalize()}, e.g. {example}",
                       f"The {spoken} to use", f"The {spoken}, for example {example}"])  # fmt: skip


def _pick(rng: random.Random, choices: str) -> str:
    return rng.choice(choices.split("|"))


def _as_result(rng: random.Random, fields: dict[str, Json]) -> str:
    """Results arrive as JSON, or as the bare value when there is only one."""
    if len(fields) == 1 and rng.random() < 0.4:
        return str(next(iter(fields.values())))
    return json.dumps(fields)


# --- tools of the tutorials -------------------------------------------------------------------------------------------


def weather(rng: random.Random) -> ToolCase:
    place = words.city(rng)
    key = _pick(rng, "city|city|city|location|place")
    name = _pick(rng, "get_weather|get_weather|get_weather|get_current_weather|weather|fetch_weather")
    parameters = [Parameter(key, description=_pick(rng, "The city|City name|The name of the city|Name of the place"))]
    arguments: Arguments = {key: place}
    question = _pick(
        rng,
        "What is the weather in {}?|What is the weather in {}?|How is the weather in {} today?|Is it raining in {}?|"
        "What's the weather like in {}?|weather in {}|Tell me the weather in {}.|Is it cold in {} now?|"
        "Do I need an umbrella in {}?|How warm is it in {}?|Give me the weather for {}.|Please check the weather in {}.|"
        "I am going to {}. What is the weather there?|What is the temperature in {}?|How is the weather in {}?",
    ).format(place)
    if rng.random() < 0.2:
        unit = rng.choice(["celsius", "fahrenheit"])
        parameters.append(Parameter("unit", choices=("celsius", "fahrenheit"), optional=True))
        if rng.random() < 0.5:
            question = question.rstrip("?.") + f" in {unit}" + ("." if question.endswith(".") else "?")
            arguments["unit"] = unit
    definition = define(
        rng, name, _pick(rng, "Get the weather for a city|Get the current weather|Weather in a city"), parameters
    )
    sky, degrees = _pick(rng, "sunny|cloudy|rainy|windy|foggy|clear|snowy|stormy"), rng.randint(-15, 42)
    style = rng.randrange(5)
    if style == 0:
        return ToolCase(definition, question, arguments, sky, f"It is {sky} in {place}.")
    if style == 1:
        degree_key = _pick(rng, "temperature|temp|temperature_c|degrees")
        return ToolCase(definition, question, arguments, json.dumps({degree_key: degrees}),
                        f"The temperature in {place} is {degrees} degrees.")  # fmt: skip
    if style == 2:
        text = rng.choice([f"{sky}, {degrees} C", f"{degrees}°C and {sky}", f"{degrees} degrees, {sky}"])
        return ToolCase(
            definition, question, arguments, text, f"It is {sky} in {place}, and the temperature is {degrees} degrees."
        )
    sky_key, degree_key = _pick(rng, "sky|condition|conditions|weather"), _pick(rng, "temperature|temp|temp_c|degrees")
    pairs: list[tuple[str, Json]] = [(degree_key, degrees), (sky_key, sky)]
    rng.shuffle(pairs)
    if rng.random() < 0.3:
        pairs.insert(0, ("city", place))
    return ToolCase(definition, question, arguments, json.dumps(dict(pairs)),
                    f"It is {sky} in {place}, and the temperature is {degrees} degrees.")  # fmt: skip


def local_time(rng: random.Random) -> ToolCase:
    place = words.city(rng)
    key = _pick(rng, "city|city|location|place")
    question = _pick(
        rng,
        "What time is it in {}?|Tell me the time in {}.|What is the local time in {}?|time in {}|How late is it in {}?|"
        "What's the time in {}?|Please tell me what time it is in {}.|Is it night in {}?|Current time in {}?",
    ).format(place)
    definition = define(rng, _pick(rng, "get_time|get_time|get_local_time|current_time|get_current_time"),
                        _pick(rng, "Get the local time in a city|Get the current time|Time in a city"), [Parameter(key, description="The city")])  # fmt: skip
    clock = f"{rng.randrange(24):02d}:{rng.randrange(60):02d}"
    return ToolCase(definition, question, {key: place}, _as_result(rng, {_pick(rng, "time|local_time"): clock}),
                    f"The time in {place} is {clock}.")  # fmt: skip


def search(rng: random.Random) -> ToolCase:
    style = rng.randrange(4)
    if style == 0:
        subject = rng.choice(words.FOREIGN_TOPICS)
    elif style == 1:
        subject = f"{words.plain_word(rng)} {words.plain_word(rng)}"
    elif style == 2:
        subject = f"{words.invented_word(rng)} {words.plain_word(rng)}"
    else:
        subject = words.invented_name(rng)
    question = _pick(
        rng,
        "Search for {}.|Search the web for {}.|Look up {}.|Find information about {}.|Please search for {}.|search {}|"
        "Can you find something about {}?|Google {} for me.|What can you find about {}?|Find out about {}.|Do a search for {}.",
    ).format(subject)
    key = _pick(rng, "query|query|query|q|text")
    definition = define(rng, _pick(rng, "search|search|web_search|search_web"), _pick(rng, "Search the web|Search for a text|Find pages"),
                        [Parameter(key, description="The search query")])  # fmt: skip
    found = f"{words.thing(rng)} {_pick(rng, 'was seen|was found|is for sale|is famous|is rare|is lost')} in {words.city(rng)}"
    found = found[0].upper() + found[1:] + "."
    return ToolCase(definition, question, {key: subject}, _as_result(rng, {"result": found}), f"I found this: {found}")


def message(rng: random.Random) -> ToolCase:
    receiver = words.person(rng)
    text = _pick(
        rng,
        "I am late|hello|good morning|see you tomorrow|the meeting is at {n}|happy birthday|call me back|dinner is ready|"
        "bring {f}|I found {t}|the code is {c}|thank you|I will come at {n}|please buy {f}|meet me in {p}|{w}|{w} {w}",
    )
    text = text.format(n=rng.randint(1, 12), f=rng.choice(words.FOODS), t=words.thing(rng), c=words.random_code(rng),
                       p=words.city(rng), w=words.invented_word(rng))  # fmt: skip
    to_key, text_key = _pick(rng, "to|to|recipient|name"), _pick(rng, "text|text|message|body")
    question = _pick(
        rng,
        "Send {to} the message: {text}|Send a message to {to}: {text}|Tell {to}: {text}|Write to {to}: {text}|"
        'Send "{text}" to {to}.|Please send {to} this text: {text}|Message {to}: {text}|Text {to}: {text}|'
        'Send a message to {to} saying "{text}".|Send {to} a message that says {text}',
    ).format(to=receiver, text=text)
    definition = define(rng, _pick(rng, "send_message|send_message|send_text|message_user"), _pick(rng, "Send a message to a person|Send a text message"),
                        [Parameter(to_key, description="Who receives it"), Parameter(text_key, description="The text")])  # fmt: skip
    state = _pick(rng, "sent|ok|delivered|queued")
    answer = {"sent": "was sent", "ok": "was sent", "delivered": "was delivered", "queued": "is queued"}[state]
    return ToolCase(definition, question, {to_key: receiver, text_key: text}, _as_result(rng, {"status": state}),
                    f"The message to {receiver} {answer}.")  # fmt: skip


def timer(rng: random.Random) -> ToolCase:
    amount = rng.randint(1, 120)
    unit = _pick(rng, "minutes|minutes|minutes|seconds|hours")
    question = _pick(
        rng,
        "Set a timer for {} {}.|Start a timer of {} {}.|Wake me in {} {}.|Remind me in {} {}.|timer {} {}|Please set a {} {} timer.|"
        "I need a timer for {} {}.|Set the timer to {} {}.|Count down {} {}.",
    ).format(amount, unit)
    definition = define(
        rng,
        _pick(rng, "set_timer|set_timer|start_timer"),
        _pick(rng, "Set a timer|Start a timer"),
        [Parameter(unit, "integer")],
    )
    return ToolCase(definition, question, {unit: amount}, _as_result(rng, {"status": _pick(rng, "started|ok|set")}),
                    f"The timer is set for {amount} {unit}.")  # fmt: skip


def order(rng: random.Random) -> ToolCase:
    code = words.random_code(rng)
    key = _pick(rng, "order_id|order_id|id|order|number")
    question = _pick(
        rng,
        "Where is my order {}?|What is the status of order {}?|Look up order {}.|Check order {}.|Has order {} been shipped?|"
        "order status {}|Please look up the order {}.|When will order {} arrive?|Track order {}.|My order number is {}. Where is it?",
    ).format(code)
    definition = define(rng, _pick(rng, "look_up_order|look_up_order|get_order|order_status|track_order"),
                        _pick(rng, "Look up an order|Get the status of an order"), [Parameter(key, description="The order number")])  # fmt: skip
    state = _pick(rng, "shipped|on its way|delivered|waiting|cancelled|paid|packed|lost")
    fields: dict[str, Json] = {_pick(rng, "status|state"): state}
    answer = f"Your order {code} is {state}."
    if rng.random() < 0.4:
        day = _pick(rng, "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|tomorrow|today")
        fields[_pick(rng, "arrives|eta|delivery")] = day
        answer = f"Your order {code} is {state} and arrives {'' if day[0].islower() else 'on '}{day}."
    return ToolCase(definition, question, {key: code}, _as_result(rng, fields), answer)


def stock(rng: random.Random) -> ToolCase:
    symbol = rng.choice("AAPL MSFT GOOG AMZN TSLA NVDA IBM SAP META NFLX INTC ORCL".split())
    if rng.random() < 0.7:
        symbol = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=rng.randint(2, 5)))
    key = _pick(rng, "symbol|symbol|ticker")
    question = _pick(
        rng,
        "What is the price of {} stock?|How is {} doing today?|What is the stock price of {}?|Get the price of {}.|{} stock price|"
        "How much is {} worth?|Quote {}.|What does one share of {} cost?|Check the stock {}.",
    ).format(symbol)
    definition = define(rng, _pick(rng, "get_stock|get_stock|get_stock_price|stock_price"), _pick(rng, "Get a stock price|Get the price of a stock"),
                        [Parameter(key, description="The ticker symbol")])  # fmt: skip
    price = f"{rng.randint(1, 900)}.{rng.randint(0, 9)}{rng.randint(1, 9)}"
    return ToolCase(definition, question, {key: symbol}, _as_result(rng, {"price": float(price) if rng.random() < 0.4 else price}),
                    f"The price of {symbol} is {price}.")  # fmt: skip


def translation(rng: random.Random) -> ToolCase:
    text = rng.choice([words.plain_word(rng), words.invented_word(rng), "good morning", "thank you", "where is the station",
                       f"I like {rng.choice(words.FOODS)}", words.thing(rng)])  # fmt: skip
    language = _pick(rng, "French|German|Spanish|Italian|Polish|Dutch|Latin|Greek|Japanese|Chinese|Swedish|Portuguese")
    question = _pick(
        rng,
        'Translate "{0}" into {1}.|How do you say "{0}" in {1}?|Translate {0} to {1}.|What is "{0}" in {1}?|Say "{0}" in {1}.',
    ).format(text, language)
    language_key = _pick(rng, "language|language|target_language|to")
    definition = define(
        rng,
        _pick(rng, "translate|translate|translate_text"),
        "Translate a text",
        [Parameter("text"), Parameter(language_key)],
    )
    result = words.invented_word(rng)
    return ToolCase(definition, question, {"text": text, language_key: language}, _as_result(rng, {"translation": result}),
                    f'"{text}" in {language} is "{result}".')  # fmt: skip


def calculator(rng: random.Random) -> ToolCase:
    left, right = rng.randint(0, 999), rng.randint(0, 999)
    sign, result = rng.choice([("+", left + right), ("-", left - right), ("*", left * right)])
    expression = f"{left} {sign} {right}"
    key = _pick(rng, "expression|expression|formula|input")
    question = _pick(rng, "What is {}?|Calculate {}.|Compute {}.|How much is {}?|{}|Please work out {}.").format(
        expression
    )
    definition = define(
        rng,
        _pick(rng, "calculate|calculator|evaluate"),
        _pick(rng, "Calculate an expression|Do a sum"),
        [Parameter(key)],
    )
    return ToolCase(
        definition, question, {key: expression}, _as_result(rng, {"result": result}), f"{expression} is {result}."
    )


def event(rng: random.Random) -> ToolCase:
    title = rng.choice([f"lunch with {words.person(rng)}", "dentist", "team meeting", "yoga", f"{words.invented_word(rng)} meeting",
                        f"call {words.person(rng)}", f"buy {rng.choice(words.FOODS)}", "doctor", "party"])  # fmt: skip
    day = _pick(rng, "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|tomorrow|today")
    day_key, title_key = _pick(rng, "day|date|when"), _pick(rng, "title|title|name|event")
    when = day if day[0].islower() else f"on {day}"
    question = _pick(
        rng,
        "Add {0} {1}.|Add {0} to my calendar {1}.|Put {0} into my calendar {1}.|Schedule {0} {1}.|I have {0} {1}. Please note it.",
    ).format(title, when)
    definition = define(
        rng,
        _pick(rng, "add_event|create_event|add_to_calendar"),
        "Add an event to the calendar",
        [Parameter(title_key), Parameter(day_key)],
    )
    return ToolCase(definition, question, {title_key: title, day_key: day}, _as_result(rng, {"status": "ok"}),
                    f"I added {title} {when}.")  # fmt: skip


def light(rng: random.Random) -> ToolCase:
    room = rng.choice(
        ["kitchen", "bedroom", "office", "bathroom", "garage", "hall", "living room", words.invented_word(rng)]
    )
    state = rng.choice(["on", "off"])
    question = _pick(
        rng,
        "Turn {1} the light in the {0}.|Switch {1} the {0} light.|Turn the {0} light {1}.|Light {1} in the {0}, please.",
    ).format(room, state)
    definition = define(
        rng,
        _pick(rng, "set_light|switch_light|turn_light"),
        "Switch a light",
        [Parameter("room"), Parameter("state", choices=("on", "off"))],
    )
    return ToolCase(definition, question, {"room": room, "state": state}, _as_result(rng, {"status": "ok"}),
                    f"The light in the {room} is {state}.")  # fmt: skip


def music(rng: random.Random) -> ToolCase:
    song = rng.choice([words.invented_name(rng), f"{words.plain_word(rng)} {words.plain_word(rng)}", words.person(rng)])
    key = _pick(rng, "song|title|artist|name")
    question = _pick(rng, "Play {}.|Play the song {}.|I want to hear {}.|Please play {} for me.|Put on {}.").format(
        song
    )
    definition = define(rng, _pick(rng, "play_music|play_song|play"), "Play music", [Parameter(key)])
    return ToolCase(
        definition, question, {key: song}, _as_result(rng, {"status": _pick(rng, "playing|ok")}), f"Now playing {song}."
    )


# --- tools made up on the spot ----------------------------------------------------------------------------------------

_VERBS = "get find check fetch show list read load open look_up query lookup retrieve request".split()
_ACTIONS = (
    "create delete update cancel book rent start stop buy order close print rename archive lock block move mark".split()
)
_NOUNS = (
    "recipe price invoice ticket user customer account balance product file page report score rating review address phone "
    "email profile document photo flight hotel room car seat table task note reminder project issue branch server disk "
    "sensor device album movie book article lesson course job printer parcel package warehouse shop menu discount contract "
    "member player team game match route train bus station map forecast distance currency rate word definition synonym "
    "population country planet animal plant colour"
).split()
_KEYS = (
    "name id title key code number topic subject value item label user person customer file path word term target "
    "reference keyword source product account owner"
).split()


def _value(rng: random.Random) -> Json:
    style = rng.randrange(8)
    if style == 0:
        return words.person(rng)
    if style == 1:
        return words.city(rng)
    if style == 2:
        return rng.randint(0, 9999)
    if style in (3, 4):
        return words.random_code(rng)
    if style == 5:
        return words.plain_word(rng)
    if style == 6:
        return f"{words.plain_word(rng)} {words.plain_word(rng)}"
    return words.invented_word(rng)


def made_up(rng: random.Random) -> ToolCase:
    """A tool that no tutorial has: the name and the parameters must be read from the definition."""
    acting = rng.random() < 0.4
    verb, noun = rng.choice(_ACTIONS if acting else _VERBS), rng.choice(_NOUNS)
    if rng.random() < 0.25:
        noun = words.invented_word(rng, (1, 2))
    spoken = verb.replace("_", " ").replace("lookup", "look up")
    name = rng.choice(
        [f"{verb}_{noun}", f"{verb}_{noun}", f"{verb}_{noun}", verb + noun.capitalize(), f"{noun}_{verb}"]
    )
    keys = rng.sample(_KEYS, rng.choice([1, 1, 1, 2, 2, 3]))
    if rng.random() < 0.5:
        keys[0] = rng.choice([f"{noun}_id", noun, f"{noun}_name", "id", "name"])
    arguments: Arguments = {key: _value(rng) for key in dict.fromkeys(keys)}
    parameters = [Parameter(key, "integer" if isinstance(value, int) else "string", f"The {key.replace('_', ' ')}")
                  for key, value in arguments.items()]  # fmt: skip
    article = "an" if noun[0] in "aeiou" else "a"
    definition = define(
        rng,
        name,
        rng.choice([f"{spoken.capitalize()} {article} {noun}", f"{spoken.capitalize()} the {noun}"]),
        parameters,
    )
    first, *others = arguments.items()
    start = rng.choice(
        [f"{spoken.capitalize()} the {noun} {first[1]}", f"Please {spoken} the {noun} {first[1]}", f"Can you {spoken} the {noun} for {first[1]}",
         f"{spoken.capitalize()} {article} {noun} for {first[1]}", f"I want to {spoken} the {noun} {first[1]}",
         f"{spoken.capitalize()} {noun} {first[1]}", f"{spoken.capitalize()} the {noun} with {first[0].replace('_', ' ')} {first[1]}",
         f"I need the {noun} of {first[1]}", f"What is the {noun} of {first[1]}"]
    )  # fmt: skip
    tail = "".join(f"{rng.choice([' with', ' and', ','])} {key.replace('_', ' ')} {value}" for key, value in others)
    question = start + tail + ("?" if start.startswith(("Can", "What")) else ".")
    if acting:
        state = _pick(rng, "ok|done|success|accepted|failed|pending")
        return ToolCase(
            definition,
            question,
            arguments,
            _as_result(rng, {"status": state}),
            f"The status of {first[1]} is: {state}.",
        )
    return ToolCase(definition, question, arguments, *_found(rng, noun, first[1]))


def _found(rng: random.Random, noun: str, asked: Json) -> tuple[str, str]:
    style = rng.randrange(3)
    if style == 0:
        value = _value(rng)
        return _as_result(rng, {rng.choice([noun, "value", "result"]): value}), f"The {noun} of {asked} is {value}."
    if style == 1:
        text = f"{words.thing(rng)} from {words.city(rng)}"
        return text, f"The result for {asked} is: {text}."
    fields: dict[str, Json] = {key: _value(rng) for key in rng.sample(_KEYS, rng.choice([2, 2, 3]))}
    listed = ", ".join(f"{key} is {value}" for key, value in fields.items())
    return json.dumps(fields), f"Here is what I found for {asked}: {listed}."


KNOWN: tuple[Callable[[random.Random], ToolCase], ...] = (
    weather, weather, local_time, local_time, search, search, message, message, timer, timer, order, order,
    stock, translation, calculator, event, light, music,
)  # fmt: skip


def any_case(rng: random.Random) -> ToolCase:
    return made_up(rng) if rng.random() < 0.4 else rng.choice(KNOWN)(rng)
