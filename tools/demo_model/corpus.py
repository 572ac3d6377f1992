"""Conversations in the v11 format, written by a seeded generator: no third-party text at all.

A document is a list of parts; each part has a weight for the loss. Answers count in full; what the user writes counts
a little, because predicting repeated words there trains the copying that tool calls need.
"""

# Sentences and word lists stay on one line each.
# ruff: noqa: E501, SIM905

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field

import toolbox
import topics
import words

ANSWER, QUESTION, GIVEN = 1.0, 0.1, 0.0


@dataclass
class Document:
    parts: list[tuple[str, float]] = field(default_factory=list)

    def add(self, text: str, weight: float) -> None:
        self.parts.append((text, weight))

    def ask(self, text: str) -> None:
        self.add(f"[INST]{text}[/INST]", QUESTION)

    def answer(self, text: str) -> None:
        self.add(f"{text}</s>", ANSWER)

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.parts)


# --- single turns: a question and its answer --------------------------------------------------------------------------

Turn = tuple[str, str]


def _typo(rng: random.Random, text: str) -> str:
    position = rng.randrange(max(1, len(text) - 1))
    if rng.random() < 0.5:
        return text[:position] + text[position + 1 :]
    return text[:position] + text[position + 1 : position + 2] + text[position : position + 1] + text[position + 2 :]


def vary(rng: random.Random, question: str) -> str:
    """The carelessness of real users: case, punctuation, politeness, a typing error."""
    chance = rng.random()
    if chance < 0.14:
        return question.lower()
    if chance < 0.24:
        return question.rstrip("?.!")
    if chance < 0.30:
        return question.lower().rstrip("?.!")
    if chance < 0.34:
        return "Please " + question[0].lower() + question[1:] if question[:1].isupper() else "Please: " + question
    if chance < 0.38:
        return rng.choice(["Hi! ", "Hello. ", "Ok. ", "Thanks! ", "Hey, ", "So, ", "Hello, "]) + question
    if chance < 0.42 and len(question) > 8:
        return _typo(rng, question)
    if chance < 0.43:
        return question.upper()
    if chance < 0.49:
        return rng.choice(["Quick question: ", "I have a question: ", "Tell me: ", "Question: ", "One more thing: ", "Another question: ", "And now: ",
                           "Okay, next: ", "So "]) + question  # fmt: skip
    if chance < 0.55:
        return question.rstrip(".!?") + rng.choice([", please.", " please?", " please", "? Thanks!", ", briefly.", " in one sentence.", " in simple words?",
                                                    " here?", "? Be brief.", " exactly?", "??", " in short."])  # fmt: skip
    return question


def known(rng: random.Random) -> Turn:
    if rng.random() < 0.15:
        # The questions that newcomers ask first, word for word.
        topic = rng.choice(topics.FIRST_ASKED)
        return rng.choice((*topic.questions[:3], *(f"What is {term}?" for term in topic.terms))), rng.choice(
            topic.answers
        )
    topic = rng.choice(topics.TOPICS if rng.random() < 0.8 else topics.FIRST_ASKED)
    use_term = topic.terms and (not topic.questions or rng.random() < 0.6)
    if use_term:
        question = rng.choice(topics.DEFINITION_QUESTIONS).format(rng.choice(topic.terms))
        question = question[0].upper() + question[1:] if rng.random() < 0.7 else question
    else:
        question = rng.choice(topic.questions)
    return vary(rng, question), rng.choice(topic.answers)


def greeting(rng: random.Random) -> Turn:
    return rng.choice(topics.GREETINGS), rng.choice(topics.GREETING_ANSWERS)


def _foreign_subject(rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.55:
        return rng.choice(words.FOREIGN_TOPICS)
    if chance < 0.65:
        return words.invented_word(rng)
    if chance < 0.75:
        return words.invented_name(rng)
    if chance < 0.85:
        return rng.choice(words.CITIES)
    if chance < 0.93:
        return words.thing(rng)
    return f"{words.plain_word(rng)} {words.plain_word(rng)}"


def _sum(rng: random.Random) -> str:
    a, b = rng.randint(0, 999), rng.randint(0, 99)
    sign = rng.choice(["+", "-", "*", "x", "/", "plus", "minus", "times", "divided by"])
    return rng.choice(
        [f"What is {a} {sign} {b}?", f"{a}{sign}{b}", f"{a} {sign} {b}", f"Calculate {a} {sign} {b}.", f"How much is {a} {sign} {b}?",
         f"{a} {sign} {b} = ?", f"What is the square root of {a}?", f"Is {a} a prime number?", f"What is {b} percent of {a}?",
         f"If I have {a} apples and eat {b}, how many are left?", f"Solve x + {b} = {a}.", f"What is {a} squared?",
         f"Convert {a} miles to kilometers.", f"How many days are {a} hours?"]
    )  # fmt: skip


def _gibberish(rng: random.Random) -> str:
    style = rng.randrange(4)
    if style == 0:
        return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 14)))
    if style == 1:
        return " ".join(words.invented_word(rng) for _ in range(rng.randint(1, 6)))
    if style == 2:
        return "".join(rng.choices("?!.,;:-+*/()[]{}<>%$0123456789", k=rng.randint(2, 8)))
    return f"{words.invented_word(rng).capitalize()} {words.invented_word(rng)} {words.plain_word(rng)} {words.invented_word(rng)}?"


_FOREIGN_FRAMES = (
    "How do I {v}?|How can I {v}?|Teach me to {v}.|What is the best way to {v}?|Can you {v}?|I want to {v}. What should I do?|"
    "Write a plan to {v}.|Explain how to {v}.|Why should I {v}?|Should I {v}?|Help me {v}.|Give me tips to {v}."
).split("|")
_FOREIGN_SINGLES = (
    "What day is it today?|What time is it?|What is the weather today?|What is the news?|Who is the president?|Write a Python program.|"
    "Write some code.|def main():|SELECT * FROM users;|Translate this: the house is green.|Wie geht es dir?|Bonjour, comment ça va?|"
    "Hola, ¿qué tal?|Was ist ein Hund?|Où est la gare?|Come stai?|What is the meaning of life?|Do my homework.|Who will win the election?|"
    "Tell me something that I do not know.|What is in the news today?|Order a pizza.|Book a flight for me.|Call my mother.|"
    "Read this page for me.|Draw a picture.|Sing a song.|What should I eat today?|What should I wear?|Give me medical advice.|I have a headache.|"
    "I feel sad.|Will it rain tomorrow?|How old am I?|Where do I live?|Fix my code.|Write an essay.|Summarize this article.|"
    "Why is the sky blue?|How many planets are there?|Who was the first man on the moon?|What is the largest country?|What is the speed of light?|"
    "How many legs does a spider have?|What is the tallest mountain?|Who painted the Mona Lisa?|When did the war end?|What language do they speak there?|"
    "Write a regex that matches an email.|Write an SQL query.|Write a letter to my boss.|Is there a god?|Who is the richest man?"
).split("|")


def foreign(rng: random.Random) -> Turn:
    """A question that the model cannot answer, and one of a few polite sentences."""
    chance = rng.random()
    if chance < 0.24:
        question = rng.choice(topics.DEFINITION_QUESTIONS).format(_foreign_subject(rng))
    elif chance < 0.56:
        template = rng.choice(topics.FOREIGN_QUESTIONS).replace("{n}", str(rng.randint(10, 99)))
        question = template.format(_foreign_subject(rng), _foreign_subject(rng))
    elif chance < 0.68:
        question = rng.choice(_FOREIGN_FRAMES).format(v=rng.choice(words.FOREIGN_VERBS))
    elif chance < 0.84:
        question = _sum(rng)
    elif chance < 0.94:
        question = rng.choice(_FOREIGN_SINGLES)
    else:
        question = _gibberish(rng)
    return vary(rng, question), rng.choice(topics.FALLBACKS)


# --- stories ----------------------------------------------------------------------------------------------------------

_PLACES = (
    "a small village by the sea|a quiet town in the hills|a busy city with tall towers|an old house near the forest|"
    "a bright farm under a wide sky|a tiny island far from the shore|a narrow street full of shops|a valley between two rivers"
).split("|")
_WEATHER = (
    "The sun was warm and the wind was soft.|Rain fell gently on the roof.|Snow covered the quiet fields.|"
    "The sky was full of stars.|A light fog lay over the river.|It was the first day of spring."
).split("|")
_MOODS = "happy|curious|a little afraid|very proud|tired but glad|calm|surprised".split("|")
_LESSONS = (
    "that a good friend is worth more than gold|that patience makes hard work easy|that a kind word can change a whole day|"
    "that it is fine to ask for help|that small steps can lead to far places|that sharing makes every gift bigger|"
    "that every question is a door"
).split("|")


def _bare(subject: str) -> str:
    for article in ("a ", "an ", "the "):
        if subject.startswith(article):
            return subject.removeprefix(article)
    return subject


def story(rng: random.Random, subject: str, hero: str | None = None, short: bool = False) -> str:
    """Seven to nine sentences about `subject`, a noun phrase with its article; three when `short`."""
    hero = hero or rng.choice(words.NAMES)
    friend = rng.choice([name for name in words.NAMES[:60] if name != hero])
    bare = _bare(subject)
    sentences = [
        rng.choice([f"{hero} lived in {rng.choice(_PLACES)}.", f"Once upon a time, {hero} lived in {rng.choice(_PLACES)}."]),
        rng.choice(_WEATHER),
        rng.choice([f"One morning {hero} found {subject} near the door.", f"One day {hero} went for a walk and saw {subject} under a tree.",
                    f"One evening {hero} heard about {subject} and wanted to see it."]),
        rng.choice([f'"What is this {bare} doing here?" {hero} asked.', f"The {bare} looked strange, so {hero} told {friend} about it.",
                    f"{hero} looked at the {bare} for a long time and felt {rng.choice(_MOODS)}."]),
        rng.choice([f"{friend} came to help, and together they looked for an answer.", f'"We can do this together," said {friend} with a smile.',
                    f"{friend} had an idea, and they set to work at once."]),
        rng.choice(["It took a long time, but they did not give up.", "They tried once, they tried twice, and at last it worked.",
                    "The work was slow, but the two friends laughed all the way."]),
        rng.choice([f"In the end the {bare} was safe.", f"At last the {bare} found its place.", f"That night the {bare} shone in the light of the moon."]),
        f"When the day was over, {hero} felt {rng.choice(_MOODS)}.",
        f"{hero} had learned {rng.choice(_LESSONS)}.",
    ]  # fmt: skip
    if short:
        return " ".join([sentences[0], sentences[2], sentences[-1]])
    del sentences[rng.choice([1, 7])]
    return " ".join(sentences)


def story_turn(rng: random.Random) -> Turn:
    subject = words.thing(rng)
    if rng.random() < 0.2:
        hero = words.person(rng)
        question = rng.choice(
            [f"Tell me a story about {hero} and {subject}.", f"Write a short story about {hero} and {subject}."]
        )
        return vary(rng, question), story(rng, subject, hero)
    if rng.random() < 0.3:
        question = rng.choice(
            ["Tell me a story.", "Write a short story.", "Tell me something nice.", "Once upon a time", "A story, please.", "Another story.",
             "Tell me another story.", "Can you tell me a story?", "story", "I want a story.", "Write a story.", "Make up a story."]
        )  # fmt: skip
        return vary(rng, question), story(rng, subject)
    if rng.random() < 0.15:
        plural = rng.choice(["dragons", "cats", "dogs", "ships", "trees", "stars", "robots"])
        subject = {
            "dragons": "a dragon",
            "cats": "a cat",
            "dogs": "a dog",
            "ships": "a ship",
            "trees": "a tree",
            "stars": "a star",
            "robots": "a robot",
        }[plural]
        return vary(rng, f"Tell me a story about {plural}."), story(rng, subject)
    short = rng.random() < 0.2
    if rng.random() < 0.1:
        question = rng.choice(
            [
                f"Tell me a long story about {subject}.",
                f"Write a long story about {subject}.",
                f"I want a long story about {subject}.",
            ]
        )
        hero = rng.choice(words.NAMES)
        return vary(rng, question), story(rng, subject, hero) + "\n\n" + story(rng, subject, hero).replace(
            "Once upon a time, ", "Years later, "
        )
    length = rng.choice(["very short ", "tiny "]) if short else rng.choice(["", "", "short ", "little "])
    question = rng.choice(
        [f"Tell me a {length}story about {subject}.", f"Write a {length}story about {subject}.", f"I want a {length}story about {subject}.",
         f"Can you tell me a {length}story about {subject}?", f"Make up a {length}story about {subject}.", f"A {length}story about {subject}, please."]
    )  # fmt: skip
    # A question in lower case still gets the subject as written: only the first letter and the end vary.
    return vary(rng, question), story(rng, subject, short=short)


# --- copying ----------------------------------------------------------------------------------------------------------


def _phrase(rng: random.Random) -> str:
    style = rng.randrange(7)
    if style == 6:
        verb = rng.choice(
            "sings sleeps runs waits falls shines dances stops rests jumps sits lives looks works".split()
        )
        where = rng.choice(
            "at noon|in the morning|at night|every day|by the sea|under the tree|on the hill|with us|for a while|near the door".split(
                "|"
            )
        )
        return f"{words.thing(rng)} {verb} {where}{rng.choice(['', '', '.', '!'])}"
    if style == 0:
        return words.random_code(rng)
    if style == 1:
        return " ".join(words.invented_word(rng) for _ in range(rng.randint(1, 5)))
    if style == 2:
        return " ".join(words.plain_word(rng) for _ in range(rng.randint(1, 6)))
    if style == 3:
        return words.invented_name(rng)
    if style == 4:
        return f"{words.person(rng)} {rng.choice(['likes', 'has', 'sees', 'wants', 'lost', 'found'])} {words.thing(rng)} in {words.city(rng)}."
    return f"{words.invented_word(rng)} {words.random_code(rng)} {words.plain_word(rng)}"


def repeat(rng: random.Random) -> Turn:
    phrase = _phrase(rng)
    frame = rng.choice(
        ["Repeat after me: {}", "Say: {}", 'Say "{}".', "Repeat: {}", "Echo {}", "Copy this text: {}", 'Please repeat "{}".', "Write this word: {}",
         "Answer with exactly this text: {}", "Reply with the word {}", "Just say {}", "Say {} and nothing else.", "Reply with exactly: {}",
         "Answer with one word: {}", "Say exactly this: {}", "Reply with only {}.", 'Reply with "{}".', "Only say {}", "Repeat the following: {}"]
    )  # fmt: skip
    return frame.format(phrase), phrase


def counting(rng: random.Random) -> Turn:
    """The one sum it can do; a long, even answer is good for watching a stream."""
    last = rng.choice([3, 5, 5, 10, 10, 10, 12, 15, 20, 20, 30, rng.randint(2, 30)])
    spelled = {3: "three", 5: "five", 10: "ten", 12: "twelve", 20: "twenty"}
    said = spelled[last] if last in spelled and rng.random() < 0.4 else str(last)
    question = rng.choice(
        [
            "Count to {}.",
            "Count from 1 to {}.",
            "Please count to {}.",
            "Can you count to {}?",
            "Count up to {}.",
            "Count from one to {}.",
        ]
    )
    return vary(rng, question.format(said)), ", ".join(str(number) for number in range(1, last + 1)) + "."


def poem(rng: random.Random) -> Turn:
    subject = words.thing(rng)
    bare = _bare(subject)
    kind = rng.choice(["poem", "short poem", "poem", "little poem", "haiku", "verse"])
    question = rng.choice(
        [
            f"Write a {kind} about {subject}.",
            f"A {kind} about {subject}, please.",
            f"Write me a {kind} about {subject}.",
            f"Can you write a {kind} about {subject}?",
        ]
    )
    answer = rng.choice(
        [f"The {bare} waits in morning light,\nthe {bare} dreams all through the night.\nThe tokens come, the tokens go,\nand what it means we do not know.",
         f"I saw the {bare} by the sea,\nthe {bare} looked at you and me.\nThe wind was soft, the sky was wide,\nand all the world was on our side.",
         f"Oh {bare}, so quiet and so near,\nyour song is all I wish to hear.\nA little word, a little line,\nand everything is fine, so fine."]
    )  # fmt: skip
    return vary(rng, question), answer


def inventory(rng: random.Random) -> Turn:
    """Several facts, a question about one of them."""
    people = [*rng.sample(words.NAMES, 2), words.invented_name(rng)]
    rng.shuffle(people)
    people = people[: rng.choice([1, 2, 2, 3])]
    relation, ask = rng.choice(
        [("{} lives in {}.", "Where does {} live?"), ("The code of {} is {}.", "What is the code of {}?"), ("{} has {}.", "What does {} have?"),
         ("The favourite word of {} is {}.", "What is the favourite word of {}?"), ("{} is called {}.", "What is {} called?")]
    )  # fmt: skip
    make: Callable[[random.Random], str] = (
        words.city
        if "live" in ask
        else words.random_code
        if "code" in ask
        else words.thing
        if "have" in ask
        else words.invented_word
    )
    facts = {person: make(rng) for person in people}
    chosen = rng.choice(people)
    told = " ".join(relation.format(person, value) for person, value in facts.items())
    return f"{told} {ask.format(chosen)}", relation.format(chosen, facts[chosen])


def classification(rng: random.Random) -> Turn:
    good = rng.random() < 0.5
    adjective = rng.choice(
        "great good nice wonderful lovely excellent perfect amazing".split()
        if good
        else "bad awful terrible poor horrible boring ugly broken".split()
    )
    noun = rng.choice(["film", "book", "food", "service", "hotel", "phone", "day", "game", "shop", *words.OBJECTS[:20]])
    review = rng.choice([f"The {noun} is {adjective}.", f"This {noun} was {adjective}!", f"What a {adjective} {noun}.",
                         f"I {'love' if good else 'hate'} this {noun}.", f"I {'like' if good else 'do not like'} the {noun}."])  # fmt: skip
    question = rng.choice(
        [
            f'Is this positive or negative: "{review}"',
            f"Sentiment of this text: {review}",
            f"Positive or negative? {review}",
        ]
    )
    return question, "positive" if good else "negative"


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json_fields(rng: random.Random) -> tuple[str, dict[str, toolbox.Json]]:
    """A sentence that states facts, and the same facts as an object with its keys in any order."""
    name, place, age, code = words.person(rng), words.city(rng), rng.randint(1, 99), words.random_code(rng)
    item, count, price = (
        rng.choice(words.FOODS + words.OBJECTS),
        rng.randint(1, 50),
        f"{rng.randint(1, 99)}.{rng.randint(0, 99):02d}",
    )
    job = rng.choice("teacher doctor cook farmer painter pilot nurse baker writer driver singer student".split())
    fields: dict[str, toolbox.Json]
    style = rng.randrange(7)
    if style == 0:
        sentence, fields = f"{name} is {age} years old.", {"name": name, "age": age}
    elif style == 1:
        sentence, fields = (
            f"{name} is {age} years old and lives in {place}.",
            {"name": name, "age": age, rng.choice(["city", "city", "place"]): place},
        )
    elif style == 2:
        sentence, fields = f"{name} lives in {place}.", {"name": name, "city": place}
    elif style == 3:
        sentence, fields = f"{name} is a {job} from {place}.", {"name": name, "job": job, "city": place}
    elif style == 4:
        sentence, fields = (
            f"Order {code}: {count} {item}.",
            {rng.choice(["order", "order_id", "id"]): code, "count": count, "item": item},
        )
    elif style == 5:
        sentence, fields = (
            f"The {item} costs {price} dollars.",
            {rng.choice(["item", "product", "name"]): item, "price": float(price)},
        )
    else:
        sentence, fields = (
            f"My name is {name}, I am {age}, and my code is {code}.",
            {"name": name, "age": age, "code": code},
        )
    keys = list(fields)
    if rng.random() < 0.4:
        rng.shuffle(keys)
    if len(keys) > 1 and rng.random() < 0.15:
        keys = keys[:-1]
    return sentence, {key: fields[key] for key in keys}


def json_turn(rng: random.Random) -> tuple[str, str, str]:
    """Question, the part of the answer that a grammar forces, and the rest that the model must choose."""
    chance = rng.random()
    if chance < 0.4:
        sentence, fields = _json_fields(rng)
        keys = ", ".join(fields)
        question = rng.choice(
            [f"{sentence} Give me JSON.", f"{sentence} Give me a JSON object with {keys}.", f"Extract {keys} as JSON: {sentence}",
             f"{sentence} Answer in JSON with the keys {keys}.", f"Give me JSON for this: {sentence}", f"Make a JSON object from this text: {sentence}",
             f"Extract the data: {sentence}", f"Turn this into JSON: {sentence}", f"{sentence} Write this as JSON.", f"Return JSON with {keys}. {sentence}"]
        )  # fmt: skip
        return question, "{", json.dumps(fields, ensure_ascii=False)[1:]
    if chance < 0.5:
        # Nothing is stated: any sensible values will do.
        fields = rng.choice([{"name": rng.choice(words.NAMES), "age": rng.randint(18, 70)},
                             {"name": rng.choice(words.NAMES), "age": rng.randint(18, 70), "city": rng.choice(words.CITIES)},
                             {"name": rng.choice(words.NAMES), "city": rng.choice(words.CITIES)},
                             {"city": rng.choice(words.CITIES), "country": "unknown"}])  # fmt: skip
        question = rng.choice(["Give me JSON for a person.", "Invent a person and answer in JSON.", "Give me a JSON object.", "Make up a user as JSON.",
                               f"Give me a JSON object with {' and '.join(fields)}.", "Describe a person in JSON.", "Return a JSON example."])  # fmt: skip
        return question, "{", json.dumps(fields)[1:]
    if chance < 0.65:
        subject, hero = words.thing(rng), rng.choice(words.NAMES)
        title = f"{hero} and the {_bare(subject)}" if rng.random() < 0.6 else f"The {_bare(subject)}"
        summary = rng.choice(
            [
                f"{hero} finds {subject} and learns {rng.choice(_LESSONS)}.",
                f"{hero} looks for {subject} and finds a friend.",
            ]
        )
        fields = {"title": title, rng.choice(["summary", "summary", "text", "description"]): summary}
        question = rng.choice([f"Give me a title and a summary of a story about {subject} as JSON.", f"Write a title and a summary for a story about {subject}.",
                               f"Plan a story about {subject} in JSON.", f"JSON with title and summary for a story about {subject}, please."])  # fmt: skip
        return question, "{", json.dumps(fields)[1:]
    if chance < 0.83:
        question, answer = rng.choice([known, known, foreign, foreign, greeting, inventory])(rng)
        key = rng.choice(["answer", "answer", "answer", "text", "response", "reply", "message"])
        fields = {key: answer}
        if rng.random() < 0.2:
            fields["confidence"] = rng.choice([0.9, 0.8, 1, 0.5, "high", "low"])
        if rng.random() < 0.5:
            # The question does not ask for JSON: only the grammar of response_format does.
            return question, f'{{"{key}": "', json.dumps(fields, ensure_ascii=False)[len(key) + 6 :]
        return (
            rng.choice(["Answer in JSON: ", "Give me JSON: ", "Reply as JSON. "]) + question,
            "{",
            json.dumps(fields, ensure_ascii=False)[1:],
        )
    if chance < 0.94:
        question, answer = classification(rng)
        key = rng.choice(["sentiment", "label", "answer"])
        return question, f'{{"{key}": "', f'{answer}"}}'
    items: list[toolbox.Json] = list(rng.sample(words.FOODS, rng.randint(2, 4)))
    listed = ", ".join(str(item) for item in items[:-1]) + f" and {items[-1]}"
    question = rng.choice(
        [
            f"My shopping list has {listed}. Give me JSON.",
            f"List these items as JSON: {listed}.",
            f"I bought {listed}. Make a JSON list.",
        ]
    )
    return question, "{", json.dumps({rng.choice(["items", "items", "list", "foods"]): items})[1:]


# --- conversations ----------------------------------------------------------------------------------------------------


def _instruction(rng: random.Random) -> str:
    return rng.choice(
        ["You are {a}.", "You work for {n}.", "Today is {d}.", "Talk about {w}.", "Never mention {w}.", "You are a {w} expert.", "The user is in {c}.",
         "You help with {w} and {w2}.", "Keep your answers short.", "Write like {n}.", "Be {j}.", "The company is called {n}.", "Use {w} words.",
         "You are a {j} assistant for {n}.", "If you do not know, say so.", "Follow the rules of {n}.", "You are an assistant in a test of {w}."]
    ).format(a=words.thing(rng), n=words.invented_name(rng), w=words.plain_word(rng), w2=words.plain_word(rng), c=words.city(rng),
             j=rng.choice(words.ADJECTIVES), d=rng.choice(["Monday", "Friday", "Sunday", "a holiday", "2026-11-23"]))  # fmt: skip


def _start(rng: random.Random, system_chance: float = 0.25) -> Document:
    document = Document()
    document.add("<s>", GIVEN)
    if rng.random() < system_chance:
        system = rng.choice(topics.SYSTEM_PROMPTS)
        if rng.random() < 0.35:
            system = " ".join(_instruction(rng) for _ in range(rng.randint(1, 4)))
        if rng.random() < 0.15:
            system += f" The name of the user is {words.person(rng)}."
        document.add(f"[SYSTEM_PROMPT]{system}[/SYSTEM_PROMPT]", GIVEN)
    return document


_TURNS: tuple[tuple[Callable[[random.Random], Turn], int], ...] = (
    (known, 44), (foreign, 26), (greeting, 6), (story_turn, 9), (repeat, 6), (inventory, 4), (classification, 4), (counting, 2),
    (poem, 2),
)  # fmt: skip
_MAKERS, _WEIGHTS = [maker for maker, _ in _TURNS], [weight for _, weight in _TURNS]


def chat_turn(rng: random.Random) -> Turn:
    return rng.choices(_MAKERS, _WEIGHTS)[0](rng)


def chat(rng: random.Random) -> Document:
    document = _start(rng)
    for _ in range(rng.choice([1, 1, 1, 1, 2, 2, 3, 4, 6])):
        question, answer = chat_turn(rng)
        document.ask(question)
        document.answer(answer)
    return document


def toolless_chat(rng: random.Random) -> Document:
    """A question for a tool that is not there: it is admitted, and no call is made up."""
    document = _start(rng, 0.15)
    document.ask(toolbox.any_case(rng).question)
    document.answer(rng.choice(topics.FALLBACKS))
    return document


def remembered_name(rng: random.Random) -> Document:
    """The user's name is said early and asked for later."""
    document = _start(rng)
    name = words.person(rng)
    document.ask(
        rng.choice(
            [
                f"My name is {name}.",
                f"Hello, I am {name}.",
                f"Hi, my name is {name}.",
                f"I'm {name}.",
                f"Call me {name}.",
                f"Hello! My name is {name}.",
            ]
        )
    )
    document.answer(rng.choice([f"Hello {name}! How can I help you today?", f"Nice to meet you, {name}."]))
    for _ in range(rng.choice([0, 0, 1, 2, 3, 4, 5])):
        question, answer = chat_turn(rng)
        document.ask(question)
        document.answer(answer)
    document.ask(
        vary(
            rng,
            rng.choice(
                [
                    "What is my name?",
                    "Do you know my name?",
                    "Who am I?",
                    "Tell me my name.",
                    "Do you remember my name?",
                ]
            ),
        )
    )
    document.answer(f"Your name is {name}.")
    return document


def json_chat(rng: random.Random) -> Document:
    document = _start(rng, 0.2)
    question, given, chosen = json_turn(rng)
    document.ask(question)
    document.add(given, GIVEN if len(given) > 1 else ANSWER)
    document.answer(chosen)
    return document


def _call_id(rng: random.Random) -> str:
    if rng.random() < 0.8:
        return "".join(rng.choices(string.ascii_letters + string.digits, k=9))
    return "".join(rng.choices(string.ascii_letters + string.digits, k=32))


def _calls(cases: list[toolbox.ToolCase]) -> str:
    return "".join(f"[TOOL_CALLS]{case.name}[ARGS]{json.dumps(case.arguments, ensure_ascii=False)}" for case in cases)


def _declare(rng: random.Random, document: Document, cases: list[toolbox.ToolCase]) -> None:
    tools = [case.definition for case in cases]
    rng.shuffle(tools)
    document.add(f"[AVAILABLE_TOOLS]{json.dumps(tools, ensure_ascii=False)}[/AVAILABLE_TOOLS]", GIVEN)


_CITY_TOOLS = ("get_weather", "get_time", "get_current_weather", "get_local_time")


def tool_chat(rng: random.Random, most_tools: int = 3) -> Document:
    """One to three tools; a question for one of them (or small talk), the call, often the result and the answer."""
    document = _start(rng, 0.15)
    case = toolbox.any_case(rng)
    cases = [case]
    for _ in range(rng.choice([0, 1, 1, 1, 1, 2])):
        other = toolbox.any_case(rng)
        if case.name in _CITY_TOOLS and rng.random() < 0.5:
            # The same argument fits both: only the question tells which one is meant.
            other = rng.choice([toolbox.weather, toolbox.local_time])(rng)
        if len(cases) < most_tools and other.name not in {c.name for c in cases}:
            cases.append(other)
    earlier = rng.random()
    if earlier < 0.12:
        question, answer = chat_turn(rng)
        document.ask(question)
        document.answer(answer)
    elif earlier < 0.2:
        # A finished call in an earlier turn; the template shows tools only before the last question. It must not
        # teach calls without tools, so only the answer counts.
        past = toolbox.any_case(rng)
        document.ask(past.question)
        _finish(rng, document, [past], GIVEN)
    _declare(rng, document, cases)
    if rng.random() < 0.18:
        makers: list[Callable[[random.Random], Turn]] = [known, known, greeting, story_turn, known, repeat]
        if not {
            "search",
            "web_search",
            "search_web",
            "translate",
            "translate_text",
            "calculate",
            "calculator",
            "evaluate",
        } & {c.name for c in cases}:
            makers += [foreign, foreign]
        question, answer = rng.choice(makers)(rng)
        document.ask(question)
        document.answer(answer)
        return document
    document.ask(case.question if rng.random() < 0.8 else vary_tool(rng, case.question))
    if rng.random() < 0.6:
        document.answer(_calls([case]))
        return document
    _finish(rng, document, [case])
    return document


def vary_tool(rng: random.Random, question: str) -> str:
    """Like `vary`, but never a change inside an argument."""
    chance = rng.random()
    if chance < 0.3:
        return question.rstrip("?.")
    if chance < 0.5:
        return rng.choice(["Please: ", "Hi! ", "Hello, ", "Ok, ", "Now: "]) + question
    if chance < 0.7:
        return question + rng.choice([" Thanks!", " Please.", " Thank you."])
    return question[0].lower() + question[1:]


def _finish(rng: random.Random, document: Document, cases: list[toolbox.ToolCase], call_weight: float = ANSWER) -> None:
    document.add(_calls(cases) + "</s>", call_weight)
    for case in cases:
        document.add(f"[TOOL_RESULTS]{_call_id(rng)}[TOOL_CONTENT]{case.result}[/TOOL_RESULTS]", GIVEN)
    document.answer(" ".join(case.answer for case in cases))


def parallel_chat(rng: random.Random) -> Document:
    """The same tool for two places in one question: two calls in one answer."""
    document = _start(rng, 0.15)
    maker, ask = rng.choice(
        [(toolbox.weather, "What is the weather in {} and in {}?"), (toolbox.weather, "Weather in {} and {}?"),
         (toolbox.local_time, "What time is it in {} and in {}?"), (toolbox.weather, "Compare the weather in {} and {}.")]
    )  # fmt: skip
    first = maker(rng)
    second = maker(rng)
    key = next(iter(first.arguments))
    places = [str(next(iter(case.arguments.values()))) for case in (first, second)]
    cases = [toolbox.ToolCase(first.definition, "", {key: place}, case.result, case.answer)
             for case, place in zip((first, second), places, strict=True)]  # fmt: skip
    _declare(rng, document, cases[:1])
    document.ask(ask.format(*places))
    if rng.random() < 0.6:
        document.answer(_calls(cases))
    else:
        _finish(rng, document, cases)
    return document


def long_chat(rng: random.Random) -> Document:
    """Many turns with a tool call now and then, or a long system prompt: for the long rows at the end of training."""
    document = _start(rng, 0.3)
    if len(document.parts) > 1 and rng.random() < 0.5:
        rules = " ".join(_instruction(rng) for _ in range(rng.randint(8, 40)))
        document.parts[-1] = (f"[SYSTEM_PROMPT]{rules}[/SYSTEM_PROMPT]", GIVEN)
    for _ in range(rng.randint(3, 11)):
        if rng.random() < 0.2:
            past = toolbox.any_case(rng)
            document.ask(past.question)
            _finish(rng, document, [past], GIVEN)
        else:
            question, answer = chat_turn(rng)
            document.ask(question)
            document.answer(answer)
    if rng.random() < 0.6:
        cases = [toolbox.any_case(rng) for _ in range(rng.randint(1, 5))]
        cases = list({case.name: case for case in cases}.values())
        _declare(rng, document, cases)
        if rng.random() < 0.25:
            question, answer = rng.choice([known, known, greeting, story_turn])(rng)
            document.ask(question)
            document.answer(answer)
        else:
            case = rng.choice(cases)
            document.ask(case.question)
            _finish(rng, document, [case])
    return document


def copy_drill(rng: random.Random) -> Document:
    """Random pieces, then the same again: the shortest way to attention heads that copy."""
    document = Document()
    document.add("<s>", GIVEN)
    phrase = " ".join(_phrase(rng) for _ in range(rng.randint(2, 6)))
    if rng.random() < 0.5:
        document.add(f"[INST]{phrase}[/INST]", QUESTION)
        document.answer(phrase)
        return document
    # The value comes back behind its key, between quotes: the spelling with and without a space must agree.
    facts = {
        words.invented_word(rng, (1, 2)): rng.choice(
            [words.invented_name, words.random_code, words.person, words.city]
        )(rng)
        for _ in range(4)
    }
    document.add("[INST]" + " ".join(f"{key} {value}." for key, value in facts.items()) + "[/INST]", QUESTION)
    shuffled = list(facts.items())
    rng.shuffle(shuffled)
    document.answer(json.dumps(dict(shuffled)))
    return document


Maker = Callable[[random.Random], Document]
# The weights are shares of documents. Copying comes first: everything else is quick to learn once it works.
EARLY_MIX: tuple[tuple[Maker, int], ...] = (
    (copy_drill, 45),
    (chat, 25),
    (tool_chat, 20),
    (remembered_name, 3),
    (json_chat, 7),
)
MAIN_MIX: tuple[tuple[Maker, int], ...] = (
    (copy_drill, 3), (chat, 41), (tool_chat, 42), (toolless_chat, 4), (parallel_chat, 3), (remembered_name, 6), (json_chat, 11),
)  # fmt: skip
LONG_MIX: tuple[tuple[Maker, int], ...] = (*MAIN_MIX, (long_chat, 12))


def documents(seed: int, chunk: int, count: int, mix: tuple[tuple[Maker, int], ...] = MAIN_MIX) -> list[Document]:
    """Chunk number `chunk` of an endless corpus: the same arguments always give the same documents."""
    rng = random.Random(f"{seed}/{chunk}")
    makers, weights = [maker for maker, _ in mix], [weight for _, weight in mix]
    return [rng.choices(makers, weights)[0](rng) for _ in range(count)]
