"""Every word of the pages in every language, and the compiled files as they are read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from babel.messages.pofile import read_po
from starlette.requests import Request

from fairlead.catalogue.similar import WORDS, Reason
from fairlead.catalogue.vocabulary import CAPABILITIES, PARAMETERS
from fairlead.site.language import chosen, languages
from fairlead.site.shown import said

CHINESE = re.compile("[\u4e00-\u9fff]")
ROOT = Path(__file__).parents[2]


def test_no_word_is_untranslated_and_the_compiled_files_are_of_the_written_ones() -> None:
    done = subprocess.run([sys.executable, "tools/translate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_chinese_is_chinese_and_the_words_of_the_catalogue_are_told_in_every_language() -> None:
    english, german, _ = languages()
    with (ROOT / "src/fairlead/site/locale/zh/LC_MESSAGES/messages.po").open("rb") as file:
        for message in read_po(file, locale="zh"):
            strings = message.string if isinstance(message.string, tuple) else (message.string,)
            assert not message.id or all(CHINESE.search(text) or text in ("token", "token/秒") for text in strings), (
                message.id
            )
    for parameter in PARAMETERS.values():
        for sentence in (parameter.meaning, parameter.kind):
            assert english.gettext(sentence) == sentence
            assert german.gettext(sentence) != sentence, sentence
    for sentence in (*WORDS, *(row.meaning for row in CAPABILITIES.values())):
        assert german.gettext(sentence) != sentence, sentence
    reason = Reason("%(number)s times the price", 1.5)
    assert [said(reason, one) for one in languages()] == ["1.5 times the price", "1,5-facher Preis", "价格为 1.5 倍"]
    assert str(Reason("also takes %(things)s", None, ("images", "audio"))) == "also takes images, audio"


def language(query: str = "", cookie: str = "", accept: str = "") -> str:
    headers = [(b"accept-language", accept.encode()), (b"cookie", cookie.encode())]
    request = Request({"type": "http", "query_string": query.encode(), "headers": headers})
    return chosen(request, languages()).code


def test_the_address_comes_before_the_remembered_language_and_that_before_the_browser() -> None:
    assert language(accept="de-AT,en;q=0.5") == "de"
    assert language(accept="fr, zh-Hans;q=0.4, en;q=0.3") == "zh"
    assert language(accept="fr") == language(accept="de;q=x") == language() == "en"
    assert language(cookie="lang=zh", accept="de") == "zh"
    assert language("lang=de", "lang=zh", "en") == "de"
    assert language("lang=xx", "lang=yy", "de") == "de"


def test_numbers_are_written_as_the_language_does() -> None:
    english, german, chinese = languages()
    assert [one.number(131_072.5, 1) for one in (english, german, chinese)] == ["131,072.5", "131.072,5", "131,072.5"]
