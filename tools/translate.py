"""Extracts the words of the pages, brings the catalogues of every language up to date and compiles them.

With --check nothing is written; the exit status is 1 when a word is untranslated or a file is not what it would be.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from fairlead.catalogue.similar import THINGS, WORDS
from fairlead.catalogue.vocabulary import CAPABILITIES, PARAMETERS

SITE = Path(__file__).resolve().parents[1] / "src" / "fairlead" / "site"
CONSOLE = SITE.parent / "console"
LOCALE = SITE / "locale"
NO_TIME = datetime(2026, 1, 1, tzinfo=UTC)
LANGUAGES = ("de", "zh")
PLACE = re.compile(r"%\((\w+)\)s|\{(\w+)\}|</?(\w+)")


def words() -> Catalog:
    """Every marked word of the Python files and templates. Places are left out: they would change with every edit."""
    with (LOCALE / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    found = Catalog(project="Fairlead", charset="utf-8")
    for folder in (SITE, CONSOLE):
        for _name, _line, message, comments, context in extract_from_dir(str(folder), methods, options, KEYWORDS):
            found.add(message, auto_comments=comments, context=context)
    for message in of_the_catalogue():
        found.add(message)
    return found


def of_the_catalogue() -> Iterator[str]:
    """The sentences of the catalogue that pages show: it knows no pages, so it does not mark them."""
    for parameter in PARAMETERS.values():
        yield from (parameter.meaning, parameter.kind)
    for capability in CAPABILITIES.values():
        yield from (capability.title, capability.meaning)
    yield from WORDS
    yield from THINGS.values()


KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "gettext": None, "ngettext": (1, 2), "_n": (1, 2)}


def catalogue(language: str, template: Catalog) -> Catalog:
    """The translations of a language for the words that there are now. Nothing is guessed from similar words."""
    path = po(language)
    if path.exists():
        with path.open("rb") as file:
            found = read_po(file, locale=language)
    else:
        found = Catalog(locale=language, charset="utf-8", project="Fairlead")
    found.update(template, no_fuzzy_matching=True)
    found.obsolete.clear()
    # Files that do not change with the clock.
    found.creation_date = found.revision_date = NO_TIME
    return found


def po(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "messages.po"


def missing(found: Catalog) -> list[str]:
    """Words without a translation, or with one that has other places to fill in than the original."""
    return [str(message.id) for message in found if message.id and not _translated(message)]


def _translated(message: Message) -> bool:
    given = message.string if isinstance(message.string, (list, tuple)) else (message.string,)
    wanted = message.id if isinstance(message.id, (list, tuple)) else (message.id,)
    places = set(PLACE.findall(wanted[-1]))
    return not message.fuzzy and all(given) and all(set(PLACE.findall(text)) == places for text in given)


def compiled(found: Catalog) -> bytes:
    out = io.BytesIO()
    write_mo(out, found)
    return out.getvalue()


def written(found: Catalog) -> bytes:
    out = io.BytesIO()
    write_po(out, found, width=120, sort_output=True, omit_header=False, no_location=True)
    lines = [
        line
        for line in out.getvalue().decode().split("\n")
        if not re.match(r'"(POT-Creation|PO-Revision|Last-Tr|Language-Team|Generated-By|Report)', line)
    ]
    return "\n".join(
        line for line in lines if not re.match(r"# .*(FIRST AUTHOR|ORGANIZATION|same license)", line)
    ).encode()


def main() -> int:
    check = "--check" in sys.argv[1:]
    template = words()
    wrong = 0
    for language in LANGUAGES:
        found = catalogue(language, template)
        for word in missing(found):
            print(f"{language}: not translated: {word}")
            wrong += 1
        text, binary = written(found), compiled(found)
        for path, content in ((po(language), text), (po(language).with_suffix(".mo"), binary)):
            if check and (not path.exists() or path.read_bytes() != content):
                print(f"{path}: run script/translate")
                wrong += 1
            elif not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
