"""Colours of TOML on the server: what is what, and that the text stays the same."""

from __future__ import annotations

import re
from html import unescape

from fairlead.console.colours import MOST_LINES, coloured, difference

DOCUMENT = r'''# A comment with "quotes" and [brackets]
[server]
listen = "127.0.0.1:8080" # why
[[providers]]
key = { env = "KEY", "odd name" = 'it''s' }
models = [
  ["a", 1.5],
  # of these
  ["b"],
]
a."b c".d = true
text = """one \""" " two
[not.a.table]
three = 3 \
""" # over
when = 2027-01-01T00:00:00Z
é = -1_000e3
'''


def kinds(line: str) -> list[tuple[str, str]]:
    return [(kind, unescape(text)) for kind, text in re.findall(r'<i class="t-(\w)">(.*?)</i>', line)]


def test_tables_keys_strings_numbers_and_comments_have_their_colours() -> None:
    lines = str(coloured(DOCUMENT)).split("\n")
    assert unescape(re.sub(r"<[^>]*>", "", "\n".join(lines))) == DOCUMENT
    assert kinds(lines[0]) == [("c", '# A comment with "quotes" and [brackets]')]
    assert kinds(lines[1]) == [("h", "[server]")]
    assert kinds(lines[2]) == [("k", "listen"), ("s", '"127.0.0.1:8080"'), ("c", "# why")]
    assert kinds(lines[4]) == [
        ("k", "key"), ("k", "env"), ("s", '"KEY"'), ("k", '"odd name"'), ("s", "'it''s'"),
    ]  # fmt: skip
    assert kinds(lines[6]) == [("s", '"a"'), ("n", "1.5")]  # no table: brackets are open
    assert kinds(lines[7]) == [("c", "# of these")]
    assert kinds(lines[10]) == [("k", 'a."b c".d'), ("n", "true")]
    assert kinds(lines[12]) == [("s", "[not.a.table]")]
    assert kinds(lines[14]) == [("s", '"""'), ("c", "# over")]
    assert kinds(lines[15]) == [("k", "when"), ("n", "2027-01-01T00:00:00Z")]


def test_what_is_open_is_followed_on_both_sides_of_a_difference() -> None:
    lines = difference(["--- 1", "+++ 2", "@@ -1,3 +1,3 @@", '-a = """', "+a = 1", " [b]", "-- <b>"])
    assert [(one.kind, one.sign) for one in lines] == [
        ("", ""), ("", ""), ("place", ""), ("cut", "-"), ("add", "+"), ("", " "), ("cut", "-"),
    ]  # fmt: skip
    assert kinds(str(lines[5].text)) == [("h", "[b]")]
    assert "&lt;b&gt;" in lines[6].text


def test_a_long_text_stays_plain_and_is_escaped() -> None:
    long = "a = '<b>'\n" * (MOST_LINES + 1)
    assert "t-" not in coloured(long)
    assert "<b>" not in coloured(long)
    assert "t-" not in difference([f"+{line}" for line in long.splitlines()])[0].text
