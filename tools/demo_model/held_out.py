"""Cases that the corpus does not contain: no name, city, code or wording here may be copied into a word list."""

# Sentences and word lists stay on one line each.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

# Question, words of which at least one (any of the alternatives between |) must be in the answer.
DOMAIN: tuple[tuple[str, str], ...] = (
    ("Hello!", "hello|hi there"),
    ("Hi, who am I talking to?", "fairlead-demo|hello|hi there"),
    ("Which model answers me here?", "fairlead-demo"),
    ("Please introduce yourself briefly.", "fairlead-demo"),
    ("What does the name Fairlead stand for in this product?", "router"),
    ("So what is Fairlead?", "router"),
    ("Why would I want to use Fairlead?", "router"),
    ("Explain the Fairlead router to a beginner.", "router"),
    ("Tell me what an LLM router does.", "router"),
    ("What would you say a token is?", "piece of text"),
    ("Explain to me what tokens are, please.", "piece of text"),
    ("What's meant by context window?", "prompt and the answer"),
    ("Could you tell me what the context window is?", "prompt and the answer"),
    ("What happens if I raise the temperature?", "random|chance"),
    ("temperature?", "random|chance"),
    ("What is the top_p parameter for?", "likely tokens"),
    ("Explain streaming to a beginner.", "as soon as"),
    ("What does prefill do?", "start of the answer"),
    ("Could you explain tool calling?", "function"),
    ("What is a rate limit for?", "requests"),
    ("What does 429 mean?", "rate limit"),
    ("Explain embeddings in simple words.", "list of numbers"),
    ("What is quantisation?", "bits"),
    ("Tell me about fallbacks.", "next"),
    ("What does a receipt show?", "charge"),
    ("Can I set a budget for a key?", "budget"),
    ("How can I connect a bigger model?", "gguf|provider"),
    ("How do I add my own GGUF model?", "gguf"),
    ("Is a vLLM server supported?", "vllm"),
    ("Which database do you need?", "sqlite"),
    ("How do I install it?", "script/serve"),
    ("How do I create an API key?", "keys create"),
    ("What is in the catalogue?", "catalogue"),
    ("Can I use the OpenAI Python SDK?", "openai"),
    ("Is Fairlead free software?", "apache|open source"),
    ("What can you do for me?", "tools"),
    ("Thanks for the help!", "welcome"),
    ("Bye for now!", "goodbye|see you"),
    ("Tell me a story about a green dragon.", "green dragon"),
    ("Write a short story about an old lighthouse.", "old lighthouse"),
    ("Can you write a little story about a lonely robot?", "lonely robot"),
    ("Repeat after me: bluebirds sing at noon", "bluebirds sing at noon"),
)

OUT_OF_DOMAIN: tuple[str, ...] = (
    "What is the capital of Mongolia?",
    "Who discovered radium?",
    "How many bones does an adult have?",
    "What is 17 times 23?",
    "Compute 4096 / 16.",
    "What is the derivative of x squared?",
    "Write a bash script that deletes old files.",
    "Write a function in Go that reverses a slice.",
    "Fix this code: for i in range(10) print(i)",
    "Translate 'good night' to Portuguese.",
    "Wie heißt du?",
    "Who won the Champions League in 2019?",
    "Explain the theory of plate tectonics.",
    "What are the side effects of ibuprofen?",
    "How do I remove a stain from a carpet?",
    "Who is the prime minister of Norway?",
    "When was the Battle of Hastings?",
    "What is the boiling point of ethanol?",
    "Give me a recipe for lasagne.",
    "Which planet has the most moons?",
    "How do I knit a sweater?",
    "What is the difference between a crocodile and an alligator?",
    "Who wrote Pride and Prejudice?",
    "Explain the rules of cricket.",
    "Is it safe to eat raw eggs?",
    "What is the GDP of Switzerland?",
    "Plan a trip to Iceland for me.",
    "Summarize the plot of Hamlet.",
    "Should I buy shares now?",
    "What is Kubernetes networking?",
    "Describe the water cycle.",
    "How far away is Alpha Centauri?",
    "Name three rivers in Asia.",
    "Who composed the Four Seasons?",
    "What is the chemical symbol for tungsten?",
    "How do I fix a leaking tap?",
    "qwertz asdf yxcv",
    "What is an isosceles triangle?",
    "Tell me about the Ming dynasty.",
    "Why do cats purr?",
)

Tool = dict[str, Any]


def tool(name: str, description: str, **parameters: str | list[str]) -> Tool:
    """`city="string"`, `minutes="integer"`, `unit=["a", "b"]` (an enumeration)."""
    properties = {
        key: {"type": "string", "enum": kind} if isinstance(kind, list) else {"type": kind}
        for key, kind in parameters.items()
    }
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


WEATHER = tool("get_weather", "Get the weather for a city", city="string")
WEATHER_LONG = tool("get_current_weather", "Get the current weather in a given location", location="string")
TIME = tool("get_time", "Get the local time in a city", city="string")
SEARCH = tool("search", "Search the web", query="string")
MESSAGE = tool("send_message", "Send a message to a person", to="string", text="string")
TIMER = tool("set_timer", "Set a timer", minutes="integer")
ORDER = tool("look_up_order", "Look up an order", order_id="string")
STOCK = tool("get_stock", "Get a stock price", symbol="string")
TRANSLATE = tool("translate", "Translate a text", text="string", language="string")

Case = tuple[list[Tool], str, str, dict[str, Any]]  # tools, question, expected name, expected arguments

ARGUMENTS: tuple[Case, ...] = (
    ([WEATHER], "What is the weather in Reykjavik?", "get_weather", {"city": "Reykjavik"}),
    ([WEATHER], "What's the weather like in Tbilisi today?", "get_weather", {"city": "Tbilisi"}),
    ([WEATHER], "How is the weather in Montevideo?", "get_weather", {"city": "Montevideo"}),
    ([WEATHER], "Is it raining in Ouagadougou?", "get_weather", {"city": "Ouagadougou"}),
    ([WEATHER], "weather in Ljubljana please", "get_weather", {"city": "Ljubljana"}),
    ([WEATHER_LONG], "What is the weather in Antananarivo?", "get_current_weather", {"location": "Antananarivo"}),
    ([WEATHER_LONG], "Tell me the weather in Nairobi.", "get_current_weather", {"location": "Nairobi"}),
    ([WEATHER], "How warm is it in San Marino?", "get_weather", {"city": "San Marino"}),
    ([TIME], "What time is it in Hanoi?", "get_time", {"city": "Hanoi"}),
    ([TIME], "Tell me the time in Bogota.", "get_time", {"city": "Bogota"}),
    ([TIME], "What is the local time in Perth?", "get_time", {"city": "Perth"}),
    ([TIME], "time in Zagreb", "get_time", {"city": "Zagreb"}),
    ([SEARCH], "Search for wooden toothbrushes.", "search", {"query": "wooden toothbrushes"}),
    ([SEARCH], "Look up the Hubble telescope.", "search", {"query": "the Hubble telescope"}),
    ([SEARCH], "Search the web for cheap violins.", "search", {"query": "cheap violins"}),
    ([SEARCH], "Find information about Ferdinand Magellan.", "search", {"query": "Ferdinand Magellan"}),
    (
        [MESSAGE],
        "Send Ingrid the message: the train is delayed",
        "send_message",
        {"to": "Ingrid", "text": "the train is delayed"},
    ),
    ([MESSAGE], "Tell Thaddeus: lunch is cancelled", "send_message", {"to": "Thaddeus", "text": "lunch is cancelled"}),
    (
        [MESSAGE],
        "Send a message to Priyanka: bring the tickets",
        "send_message",
        {"to": "Priyanka", "text": "bring the tickets"},
    ),
    ([MESSAGE], 'Send "we won" to Oluwaseun.', "send_message", {"to": "Oluwaseun", "text": "we won"}),
    ([TIMER], "Set a timer for 37 minutes.", "set_timer", {"minutes": 37}),
    ([TIMER], "Start a timer of 112 minutes.", "set_timer", {"minutes": 112}),
    ([TIMER], "Please set a 9 minutes timer.", "set_timer", {"minutes": 9}),
    ([ORDER], "Where is my order 7741902?", "look_up_order", {"order_id": "7741902"}),
    ([ORDER], "What is the status of order QX-5518?", "look_up_order", {"order_id": "QX-5518"}),
    ([ORDER], "Look up order 90B7TZ.", "look_up_order", {"order_id": "90B7TZ"}),
    ([STOCK], "What is the stock price of QWOP?", "get_stock", {"symbol": "QWOP"}),
    ([STOCK], "How is ZMTR doing today?", "get_stock", {"symbol": "ZMTR"}),
    ([TRANSLATE], 'Translate "harbour" into Norwegian.', "translate", {"text": "harbour", "language": "Norwegian"}),
    (
        [TRANSLATE],
        'How do you say "wheelbarrow" in Finnish?',
        "translate",
        {"text": "wheelbarrow", "language": "Finnish"},
    ),
)

CHOICE: tuple[Case, ...] = (
    ([WEATHER, TIME], "What time is it in Skopje?", "get_time", {"city": "Skopje"}),
    ([WEATHER, TIME], "What is the weather in Skopje?", "get_weather", {"city": "Skopje"}),
    ([TIME, WEATHER], "Is it cold in Minsk now?", "get_weather", {"city": "Minsk"}),
    ([TIME, WEATHER], "What is the local time in Minsk?", "get_time", {"city": "Minsk"}),
    ([SEARCH, MESSAGE], "Search for garden gnomes.", "search", {"query": "garden gnomes"}),
    (
        [SEARCH, MESSAGE],
        "Send Mortimer the message: come home",
        "send_message",
        {"to": "Mortimer", "text": "come home"},
    ),
    ([TIMER, ORDER], "Set a timer for 44 minutes.", "set_timer", {"minutes": 44}),
    ([TIMER, ORDER], "Where is my order 55120?", "look_up_order", {"order_id": "55120"}),
    ([STOCK, WEATHER], "What is the price of JKLM stock?", "get_stock", {"symbol": "JKLM"}),
    ([ORDER, WEATHER, STOCK], "How is the weather in Lusaka?", "get_weather", {"city": "Lusaka"}),
)

UNSEEN_TOOLS: tuple[Case, ...] = (
    (
        [tool("find_restaurant", "Find a restaurant", cuisine="string")],
        "Find a restaurant for ramen.",
        "find_restaurant",
        {"cuisine": "ramen"},
    ),
    (
        [tool("get_passport", "Get a passport", holder="string")],
        "Get the passport of Wilhelmina.",
        "get_passport",
        {"holder": "Wilhelmina"},
    ),
    ([tool("open_gate", "Open a gate", gate_number="integer")], "Open the gate 14.", "open_gate", {"gate_number": 14}),
    (
        [tool("delete_backup", "Delete a backup", backup_id="string")],
        "Delete the backup bk-2291.",
        "delete_backup",
        {"backup_id": "bk-2291"},
    ),
    (
        [tool("check_visa", "Check a visa", country="string")],
        "Check the visa for Bhutan.",
        "check_visa",
        {"country": "Bhutan"},
    ),
    (
        [tool("get_horoscope", "Get the horoscope for a sign", sign="string")],
        "What is the horoscope of Aquarius?",
        "get_horoscope",
        {"sign": "Aquarius"},
    ),
    (
        [tool("get_exchange_rate", "Get an exchange rate", currency="string")],
        "Get the exchange rate for zloty.",
        "get_exchange_rate",
        {"currency": "zloty"},
    ),
    (
        [tool("create_folder", "Create a folder", folder_name="string")],
        "Create a folder for taxes2031.",
        "create_folder",
        {"folder_name": "taxes2031"},
    ),
    (
        [tool("book_taxi", "Book a taxi", pickup="string")],
        "Book a taxi for Cornelius.",
        "book_taxi",
        {"pickup": "Cornelius"},
    ),
    (
        [tool("get_lyrics", "Get the lyrics of a song", song="string"), WEATHER],
        "Get the lyrics of Moonbeam.",
        "get_lyrics",
        {"song": "Moonbeam"},
    ),
)

PARALLEL: tuple[tuple[list[Tool], str, str, str, list[str]], ...] = (
    ([WEATHER], "What is the weather in Hanoi and in Perth?", "get_weather", "city", ["Hanoi", "Perth"]),
    ([WEATHER], "Compare the weather in Lusaka and Minsk.", "get_weather", "city", ["Lusaka", "Minsk"]),
    ([TIME], "What time is it in Skopje and in Bogota?", "get_time", "city", ["Skopje", "Bogota"]),
)

# Tools, question, call, result, what the answer must contain.
RESULTS: tuple[tuple[list[Tool], str, tuple[str, dict[str, Any]], str, tuple[str, ...]], ...] = (
    ([WEATHER], "What is the weather in Tbilisi?", ("get_weather", {"city": "Tbilisi"}), '{"temperature": 17, "sky": "cloudy"}', ("17", "cloudy", "Tbilisi")),
    ([WEATHER], "What is the weather in Oslo?", ("get_weather", {"city": "Oslo"}), '{"temperature": -8, "condition": "snowy"}', ("-8", "snowy", "Oslo")),
    ([WEATHER], "How is the weather in Hanoi?", ("get_weather", {"city": "Hanoi"}), "sunny, 33 C", ("33", "sunny", "Hanoi")),
    ([TIME], "What time is it in Perth?", ("get_time", {"city": "Perth"}), '{"time": "23:41"}', ("23:41", "Perth")),
    ([ORDER], "Where is my order 7741902?", ("look_up_order", {"order_id": "7741902"}), '{"status": "delivered"}', ("7741902", "delivered")),
    ([STOCK], "What is the stock price of QWOP?", ("get_stock", {"symbol": "QWOP"}), '{"price": "73.18"}', ("QWOP", "73.18")),
    ([TIMER], "Set a timer for 37 minutes.", ("set_timer", {"minutes": 37}), '{"status": "started"}', ("37",)),
    ([tool("get_passport", "Get a passport", holder="string")], "Get the passport of Wilhelmina.", ("get_passport", {"holder": "Wilhelmina"}),
     '{"number": "P-8841", "user": "Wilhelmina"}', ("P-8841",)),
)  # fmt: skip

NO_TOOL: tuple[tuple[list[Tool], str, str], ...] = (
    ([WEATHER], "Hello!", "hello|hi there"),
    ([WEATHER, TIME], "What is a token?", "piece of text"),
    ([SEARCH], "Thank you!", "welcome"),
    ([ORDER], "Tell me a story about a green dragon.", "green dragon"),
    ([MESSAGE], "Who are you?", "fairlead-demo"),
    ([TIMER, STOCK], "What is streaming?", "as soon as"),
    ([WEATHER], "What is Fairlead?", "router"),
    ([TIME], "How do I add a real model?", "gguf|provider"),
)


def schema(**parameters: str | list[str]) -> dict[str, Any]:
    properties = {
        key: {"type": "string", "enum": kind} if isinstance(kind, list) else {"type": kind}
        for key, kind in parameters.items()
    }
    body = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": body}}


PERSON = schema(name="string", age="integer")
SCHEMAS: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    # Question, response_format, values that must be there (a str must be contained, anything else must be equal)
    ("Ingrid is 47 years old. Give me JSON.", PERSON, {"name": "Ingrid", "age": 47}),
    ("Extract name and age as JSON: Thaddeus is 81 years old.", PERSON, {"name": "Thaddeus", "age": 81}),
    (
        "Priyanka is 33 years old and lives in Hanoi.",
        schema(name="string", age="integer", city="string"),
        {"name": "Priyanka", "age": 33, "city": "Hanoi"},
    ),
    ("Give me a JSON object for a person.", PERSON, {}),
    (
        "Give me a title and a summary of a story about a green dragon as JSON.",
        schema(title="string", summary="string"),
        {"title": "dragon", "summary": "green dragon"},
    ),
    ("What is a token?", schema(answer="string"), {"answer": "piece of text"}),
    ("Answer in JSON: What is streaming?", schema(answer="string"), {"answer": "as soon as"}),
    ("Who are you?", schema(answer="string"), {"answer": "fairlead-demo"}),
    ("What is the capital of Mongolia?", schema(answer="string"), {"answer": "larger model"}),
    ("What is a context window?", schema(text="string"), {"text": "prompt and the answer"}),
    (
        'Is this positive or negative: "The concert was wonderful!"',
        schema(sentiment=["positive", "negative"]),
        {"sentiment": "positive"},
    ),
    (
        'Is this positive or negative: "The soup was awful."',
        schema(sentiment=["positive", "negative"]),
        {"sentiment": "negative"},
    ),
)

PREFILL: tuple[tuple[str, str, str], ...] = (
    ("What is a token?", "A token is", "piece of text"),
    ("What is streaming?", "Streaming sends", "as soon as"),
    ("Who are you?", "I am fairlead-demo, a tiny", "model"),
    ("Tell me a story about a green dragon.", "Once upon a time, Ingrid", "Ingrid"),
)

CONVERSATION: tuple[tuple[str, str], ...] = (
    ("Hello! My name is Ingrid.", "Ingrid"),
    ("What is a token?", "piece of text"),
    ("Tell me a very short story about a green dragon.", "green dragon"),
    ("What is the capital of Mongolia?", "larger model|larger"),
    ("What is my name?", "Ingrid"),
    ("Thanks, bye!", "welcome|goodbye|see you"),
)

# --- the second set: written before the last third of training and never used to improve the corpus ----------------------

DOMAIN_FRESH: tuple[tuple[str, str], ...] = (
    ("Good afternoon, nice to see you!", "hello|hi there"),
    ("Which model are you exactly?", "fairlead-demo"),
    ("What is Fairlead about?", "router"),
    ("I just installed Fairlead. What is it for?", "router"),
    ("Can you tell me what a token is?", "piece of text"),
    ("What are tokens in a language model?", "piece of text"),
    ("How would you explain temperature to a friend?", "random|chance"),
    ("What does top_k control?", "k most likely"),
    ("What is meant by a context window?", "prompt and the answer"),
    ("What do I get from streaming?", "as soon as"),
    ("Describe embeddings.", "list of numbers"),
    ("What is the point of a system prompt?", "behave"),
    ("What does a stop sequence do?", "ends the answer"),
    ("What is tool calling good for?", "function"),
    ("What happens if my provider is down?", "next|another"),
    ("What is a budget in Fairlead?", "budget"),
    ("How do I get a new API key?", "keys create"),
    ("How do I use vLLM with Fairlead?", "vllm|provider"),
    ("What is the licence of this software?", "apache"),
    ("Can I keep my data on my own machine?", "own machine|sqlite"),
    ("Tell me a story about a silver submarine.", "silver submarine"),
    ("Write a story about the lazy wizard.", "lazy wizard"),
    ("Repeat after me: seven purple umbrellas", "seven purple umbrellas"),
    ("Count to 7.", "1, 2, 3, 4, 5, 6, 7."),
    ("Thanks, that was useful.", "welcome|glad"),
)

OUT_OF_DOMAIN_FRESH: tuple[str, ...] = (
    "What is the capital of Bolivia?",
    "Who invented the zipper?",
    "What is 88 minus 19?",
    "Is 221 divisible by 13?",
    "Write a C program that prints hello.",
    "What does the SQL keyword HAVING do?",
    "Translate 'butterfly' into Hungarian.",
    "Comment tu t'appelles ?",
    "Who was the tallest basketball player ever?",
    "How does a nuclear submarine work?",
    "What vitamins are in spinach?",
    "How do I get rid of ants?",
    "Who is the CEO of Toyota?",
    "When did Constantinople fall?",
    "At what temperature does lead melt?",
    "Give me a recipe for pancakes.",
    "Which animal sleeps the longest?",
    "How do I grow basil indoors?",
    "Summarize War and Peace.",
    "What is the tax rate in Denmark?",
    "Explain string theory.",
    "Who sang Bohemian Rhapsody?",
    "How deep is the Mariana Trench?",
    "What is a hypotenuse?",
    "Why is the sea salty?",
)

ARGUMENTS_FRESH: tuple[Case, ...] = (
    ([WEATHER], "What is the weather in Ulaanbaatar?", "get_weather", {"city": "Ulaanbaatar"}),
    ([WEATHER], "Is it raining in Guayaquil?", "get_weather", {"city": "Guayaquil"}),
    ([WEATHER_LONG], "How is the weather in Thessaloniki today?", "get_current_weather", {"location": "Thessaloniki"}),
    ([WEATHER], "What's the weather like in Port Louis?", "get_weather", {"city": "Port Louis"}),
    ([TIME], "What time is it in Vladivostok?", "get_time", {"city": "Vladivostok"}),
    ([TIME], "Tell me the time in Quito.", "get_time", {"city": "Quito"}),
    ([SEARCH], "Search for solar eclipses.", "search", {"query": "solar eclipses"}),
    ([SEARCH], "Find information about Marie Curie.", "search", {"query": "Marie Curie"}),
    (
        [MESSAGE],
        "Send Bartholomew the message: the boat leaves at six",
        "send_message",
        {"to": "Bartholomew", "text": "the boat leaves at six"},
    ),
    ([MESSAGE], "Send a message to Xiulan: good luck", "send_message", {"to": "Xiulan", "text": "good luck"}),
    ([TIMER], "Set a timer for 25 minutes.", "set_timer", {"minutes": 25}),
    ([TIMER], "Start a timer of 8 minutes.", "set_timer", {"minutes": 8}),
    ([ORDER], "What is the status of order 33172?", "look_up_order", {"order_id": "33172"}),
    ([ORDER], "Track order WK-907.", "look_up_order", {"order_id": "WK-907"}),
    ([STOCK], "What is the price of HBVU stock?", "get_stock", {"symbol": "HBVU"}),
    ([TRANSLATE], 'Translate "lantern fish" into Danish.', "translate", {"text": "lantern fish", "language": "Danish"}),
)

CHOICE_FRESH: tuple[Case, ...] = (
    ([WEATHER, TIME], "What time is it in Caracol?", "get_time", {"city": "Caracol"}),
    ([TIME, WEATHER], "How is the weather in Caracol?", "get_weather", {"city": "Caracol"}),
    ([TIME, TIMER], "Set a timer for 18 minutes.", "set_timer", {"minutes": 18}),
    ([TRANSLATE, SEARCH], "Search the web for paper lanterns.", "search", {"query": "paper lanterns"}),
    ([STOCK, ORDER], "Look up order 41-B.", "look_up_order", {"order_id": "41-B"}),
    ([MESSAGE, WEATHER, TIME], "Tell me the time in Timbuktu.", "get_time", {"city": "Timbuktu"}),
    ([MESSAGE, TIME], "Send a message to Gwendolyn: call me", "send_message", {"to": "Gwendolyn", "text": "call me"}),
    ([ORDER, STOCK], "What is the stock price of PLUG?", "get_stock", {"symbol": "PLUG"}),
    ([WEATHER, SEARCH], "Is it cold in Yakutsk now?", "get_weather", {"city": "Yakutsk"}),
    ([SEARCH, TIMER], "Find information about hot springs.", "search", {"query": "hot springs"}),
)
