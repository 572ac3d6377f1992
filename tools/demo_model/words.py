"""Word lists of the corpus, written by hand for this model."""

# Sentences and word lists stay on one line each.
# ruff: noqa: E501, SIM905

from __future__ import annotations

import random
import string

NAMES = (
    "Ada Ben Clara Dan Ella Finn Grace Hugo Iris Jack Kira Leo Mia Noah Olive Paul Rosa Sam Tess Umar Vera Will Zoe "
    "Anna Bob Alice Charlie Diana Emma Frank George Hannah Ivan Julia Kevin Laura Maria Nina Oscar Peter Quinn Rachel "
    "Simon Tom Ursula Victor Wendy Xavier Yara Adam Bella Carlos Daisy Eric Fatima Gina Henry Ines James Karim Lucy "
    "Marco Nora Omar Petra Rita Stefan Tara Uma Viktor Walter Yusuf Zara Amir Beth Cleo David Elena Felix Gloria Hana "
    "Igor Jane John Kate Liam Mark Natalie Otto Pia Ravi Sara Theo Vincent Yuki Sofia Lena Max Tim Jonas Mary Susan "
    "Michael Robert Linda Karen Nancy Lisa Betty Helen Sandra Ashley Kim Donna Carol Ruth Sharon"
).split()
CITIES = (
    "Paris|London|Berlin|Rome|Madrid|Tokyo|Cairo|Oslo|Athens|Ottawa|Delhi|Vienna|Dublin|Helsinki|Stockholm|Havana|"
    "Beijing|New York|Lyon|Munich|Milan|Boston|Sydney|Chicago|Seattle|Toronto|Moscow|Istanbul|Prague|Warsaw|Budapest|"
    "Lisbon|Brussels|Amsterdam|Zurich|Geneva|Hamburg|Cologne|Frankfurt|Naples|Venice|Florence|Turin|Seville|Valencia|"
    "Barcelona|Marseille|Nice|Bordeaux|Lille|Los Angeles|San Francisco|Miami|Dallas|Houston|Denver|Austin|Atlanta|"
    "Mexico City|Rio de Janeiro|Buenos Aires|Santiago|Caracas|Mumbai|Bangalore|Singapore|Hong Kong|Shanghai|Seoul|"
    "Osaka|Kyoto|Bangkok|Jakarta|Manila|Melbourne|Auckland|Cape Town|Lagos|Accra|Tunis|Algiers|Casablanca|Dubai|Doha|"
    "Baghdad|Tehran|Jerusalem|Beirut|Ankara|Sofia|Belgrade|Bucharest|Kiev|Riga|Vilnius|Tallinn|Copenhagen|Edinburgh|"
    "Glasgow|Manchester|Liverpool|Leeds|Bristol|Oxford|Cambridge|York|Cardiff|Belfast|Cork|Basel|Bern|Salzburg|Graz|"
    "Dresden|Leipzig|Bremen|Hanover|Stuttgart|Dortmund|Krakow|Gdansk|Split|Malaga|Bilbao|Granada|Palermo|Bologna|Verona"
).split("|")
FOODS = (
    "apples|bananas|bread|milk|butter|cheese|eggs|rice|pasta|tomatoes|onions|carrots|potatoes|coffee|tea|sugar|salt|"
    "honey|lemons|grapes|pears|plums|fish|chicken|beans|soup|cake|cookies|yogurt|juice|water|olives|garlic|pepper"
).split("|")
COLOURS = "red blue green yellow white black silver golden purple orange brown grey pink".split()
ADJECTIVES = (
    "small big old new quiet bright dark warm cold soft heavy light round tiny large clever brave kind lazy happy "
    "lost broken wooden paper glass secret strange simple fresh deep tall wild gentle noisy hungry sleepy"
).split()
OBJECTS = (
    "kite map key boat clock flute lantern stone scarf telescope lamp chair table window door book letter box bag "
    "bottle hat coat shoe ring coin bell drum piano guitar bike car train plane rocket ship bridge tower castle house "
    "garden tree flower river mountain island lake forest field road camera phone robot computer pencil brush umbrella "
    "basket ladder mirror blanket pillow cup plate spoon wheel engine anchor feather shell candle"
).split()
ANIMALS = (
    "cat dog owl fox goat rabbit turtle horse cow pig duck goose hen mouse bear wolf lion tiger elephant monkey whale "
    "dolphin shark crab frog snake lizard bee ant spider butterfly dragon unicorn squirrel deer hedgehog penguin parrot "
    "sparrow eagle camel zebra giraffe kangaroo"
).split()
# What people ask a general assistant about and this model knows nothing of.
FOREIGN_TOPICS = (
    "photosynthesis|gravity|the French Revolution|quantum mechanics|black holes|the stock market|inflation|taxes|"
    "the Roman Empire|democracy|evolution|DNA|vaccines|climate change|the moon|the sun|Mars|Jupiter|the ocean|volcanoes|"
    "earthquakes|dinosaurs|football|basketball|tennis|chess|the Olympics|the World Cup|cooking|a chocolate cake|pizza|"
    "sushi|bread|coffee beans|wine|cheese|a bicycle|an electric car|a jet engine|a microwave|electricity|magnetism|"
    "nuclear power|solar panels|wind turbines|batteries|the human heart|the brain|the liver|cancer|diabetes|a headache|"
    "yoga|meditation|running|swimming|weight loss|sleep|dreams|love|happiness|anger|fear|money|bitcoin|gold|oil|"
    "real estate|insurance|a mortgage|a contract|human rights|the constitution|the president|the king of England|"
    "the pope|Shakespeare|Mozart|Beethoven|Picasso|Einstein|Newton|Darwin|Napoleon|Caesar|Cleopatra|Gandhi|Lincoln|"
    "Python|Java|JavaScript|Rust|C++|a sorting algorithm|a binary tree|recursion|a linked list|a hash table|regex|Linux|"
    "Windows|an operating system|a compiler|Docker|Kubernetes|git|HTML|CSS|React|a web page|a database index|"
    "a blockchain|machine learning theory|linear algebra|calculus|the quadratic formula|prime numbers|fractions|"
    "the square root of two|pi|triangles|geometry|statistics|probability|chemistry|atoms|molecules|water|oxygen|carbon|"
    "iron|glass|plastic|paper|steam engines|trains|airplanes|ships|space travel|the space station|satellites|aliens|"
    "ghosts|vampires|magic tricks|guitar chords|the piano|jazz|opera|hip hop|ballet|painting|photography|movies|"
    "Star Wars|Harry Potter|the Beatles|television|newspapers|history|geography|philosophy|Plato|Aristotle|Kant|logic|"
    "ethics|religion|Buddhism|Islam|Christianity|Hinduism|mythology|Zeus|Thor|the Vikings|the Aztecs|the pyramids|"
    "the Great Wall|the Eiffel Tower|the Amazon river|Mount Everest|the Sahara|Antarctica|Africa|Asia|Europe|America|"
    "Australia|China|Japan|India|Russia|Brazil|Canada|Germany|France|Italy|Spain|Mexico|Egypt|Turkey|Greece|Poland|"
    "bees|whales|sharks|wolves|my cat|my dog|my garden|roses|oak trees|mushrooms|bacteria|viruses|penicillin|X-rays|"
    "the internet|email|wifi|bluetooth|radio waves|light|sound|heat|energy|time travel|relativity|the big bang|"
    "galaxies|comets|rainbows|thunder|snow|hurricanes|deserts|glaciers|coral reefs|the ozone layer|pollution|recycling|"
    "a job interview|my resume|a cover letter|a wedding speech|a birthday present|a poem by Goethe|a love letter|"
    "a business plan|marketing|accounting|negotiation|leadership|psychology|Freud|memory|language learning|Latin|"
    "Esperanto|sign language|grammar rules|punctuation|poetry|haiku|novels|Tolstoy|Homer|the Odyssey|Don Quixote|"
    "world war two|the cold war|the moon landing|the printing press|the steam engine|the telephone|penguin habits"
).split("|")
FOREIGN_VERBS = (
    "bake a cake|fix a car|cook rice|learn to swim|write a novel|build a house|grow tomatoes|train a dog|tie a tie|"
    "lose weight|make money|invest my savings|learn Spanish|play the guitar|draw a face|solve an equation|sort a list|"
    "reverse a string|install Linux|center a div|write a for loop|parse a date|read a file in Python|make a website|"
    "get a visa|rent a flat|buy a car|find a job|fall asleep|stop smoking|clean my oven|paint a wall|change a tire|"
    "sew a button|boil an egg|make coffee|brew beer|catch a fish|climb a mountain|ride a horse|fly a plane|sail a boat|"
    "file my taxes|write a will|win at chess|do long division|multiply two matrices|prove a theorem"
).split("|")

_ONSETS = "b c d f g h j k l m n p r s t v w z br cr dr fr gr pr tr bl cl fl gl pl sl st sp sk sh ch th kw".split()
_NUCLEI = "a e i o u a e i o u ai ea oo ou ia io".split()
_CODAS = ["", "", "", "", "n", "r", "l", "s", "t", "m", "k", "x", "nd", "rt", "st", "ng", "th", "v"]


def invented_word(rng: random.Random, syllables: tuple[int, ...] = (1, 2, 2, 3, 3, 4)) -> str:
    """A pronounceable word that probably exists nowhere: it can only be copied, not remembered."""
    count = rng.choice(syllables)
    return "".join(rng.choice(_ONSETS) + rng.choice(_NUCLEI) + rng.choice(_CODAS) for _ in range(count))


def invented_name(rng: random.Random) -> str:
    word = invented_word(rng).capitalize()
    if rng.random() < 0.15:
        word += rng.choice([" ", "-", " "]) + invented_word(rng, (1, 2)).capitalize()
    return word


def random_code(rng: random.Random) -> str:
    """An order number, a ticket, a key: letters and digits without a pattern."""
    style = rng.randrange(6)
    if style == 0:
        return "".join(rng.choices(string.digits, k=rng.randint(2, 8)))
    if style == 1:
        return "".join(rng.choices(string.ascii_uppercase + string.digits, k=rng.randint(4, 9)))
    if style == 2:
        letters = "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 3)))
        return letters + "-" + "".join(rng.choices(string.digits, k=rng.randint(2, 6)))
    if style == 3:
        return "".join(rng.choices(string.ascii_lowercase + string.digits, k=rng.randint(4, 9)))
    if style == 4:
        return "#" + "".join(rng.choices(string.digits, k=rng.randint(3, 6)))
    return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 9)))


def plain_word(rng: random.Random) -> str:
    return rng.choice((OBJECTS, ANIMALS, FOODS, ADJECTIVES, COLOURS)[rng.randrange(5)])


def person(rng: random.Random) -> str:
    return rng.choice(NAMES) if rng.random() < 0.5 else invented_name(rng)


def city(rng: random.Random) -> str:
    return rng.choice(CITIES) if rng.random() < 0.4 else invented_name(rng)


def thing(rng: random.Random) -> str:
    """A noun phrase: "a red kite", "an old map", "the wise owl"."""
    adjective = rng.choice(ADJECTIVES + COLOURS) if rng.random() < 0.7 else ""
    noun = rng.choice(OBJECTS + ANIMALS) if rng.random() < 0.75 else invented_word(rng)
    phrase = f"{adjective} {noun}".strip()
    article = rng.choice(["a", "a", "the"])
    if article == "a" and phrase[0] in "aeiou":
        article = "an"
    return f"{article} {phrase}"
