"""New models and prices that have changed, as Atom (RFC 4287) and RSS 2.0 (https://www.rssboard.org/rss-specification).
Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from typing import Final
from urllib.parse import quote

from fairlead.money import Picodollars
from fairlead.site.incidents import time_of
from fairlead.site.records import Priced
from fairlead.site.sharing.drawing import NOT_XML

MOST_ENTRIES: Final = 100


@dataclass(frozen=True, slots=True)
class Known:
    """A model that has deployments: what an entry says of it. `path`: of its page."""

    id: str
    name: str
    vendor: str
    path: str
    description: str


@dataclass(frozen=True, slots=True)
class News:
    """One entry. `at`: seconds since 1970; `subject`: what it is about, for its id."""

    at: int
    kind: str
    subject: str
    model: Known
    title: str
    text: str


def news_of(prices: Sequence[Priced], models: Mapping[str, Known]) -> tuple[News, ...]:
    """The newest first. `prices`: the oldest first; `models`: by deployment. The first price of a model's first
    deployment is the model's beginning; that of another one says that it is served there, too."""
    latest: dict[str, Priced] = {}
    begun: dict[str, int] = {}
    found = []
    for one in prices:
        model = models.get(one.deployment)
        if model is None:
            continue
        before = latest.get(one.deployment)
        latest[one.deployment] = one
        now = _in_words(one)
        if before is None:
            first = begun.get(model.id)
            if first is None:
                begun[model.id] = one.at
                text = f"{model.name} by {model.vendor} can be called here as {model.id}. {model.description}"
                found.append(News(one.at, "model", model.id, model, f"New model: {model.name}", text))
            elif one.at > first:  # else it was there from the beginning
                title = f"{model.name} is also served by {one.deployment.partition('/')[0]}"
                found.append(News(one.at, "deployment", one.deployment, model, title, f"{one.deployment}: {now}."))
        elif (before.input, before.output) != (one.input, one.output):
            title = f"{model.name}: new price at {one.deployment.partition('/')[0]}"
            text = f"{one.deployment}: {now}; before: {_in_words(before)}."
            found.append(News(one.at, "price", one.deployment, model, title, text))
    return tuple(sorted(found, key=lambda news: (-news.at, news.kind, news.subject))[:MOST_ENTRIES])


def _in_words(one: Priced) -> str:
    taken, given = (Picodollars(rate).per_million() for rate in (one.input, one.output))
    return f"${taken} per million input tokens, ${given} per million output tokens"


def atom(news: Sequence[News], title: str, origin: str, path: str, page: str) -> str:
    """`path`: of the feed; `page`: of what it is about."""
    updated = max((one.at for one in news), default=0)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        f"<title>{escape(title)}</title>",
        f"<id>{_address(origin, page)}</id>",
        f'<link href="{_address(origin, page)}"/><link rel="self" href="{_address(origin, path)}"/>',
        f"<updated>{time_of(updated * 1000)}</updated><author><name>Fairlead</name></author>",
    ]
    for one in news:
        address = _address(origin, one.model.path)
        lines += [
            "<entry>",
            f"<title>{escape(one.title)}</title>",
            f"<id>{_id(one, address)}</id>",
            f'<link href="{address}"/><category term="{one.kind}"/>',
            f"<published>{time_of(one.at * 1000)}</published><updated>{time_of(one.at * 1000)}</updated>",
            f"<content>{escape(one.text)}</content>",
            "</entry>",
        ]
    return NOT_XML.sub("\ufffd", "\n".join([*lines, "</feed>", ""]))


def rss(news: Sequence[News], title: str, origin: str, path: str, page: str) -> str:
    """The same as RSS, whose entries have the ids of those of `atom`."""
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>',
        f"<title>{escape(title)}</title>",
        f"<link>{_address(origin, page)}</link>",
        f'<atom:link rel="self" type="application/rss+xml" href="{_address(origin, path)}"/>',
        f"<description>{escape(title)}</description>",
        *([f"<lastBuildDate>{_rfc822(news[0].at)}</lastBuildDate>"] if news else ()),
    ]
    for one in news:
        address = _address(origin, one.model.path)
        lines += [
            "<item>",
            f"<title>{escape(one.title)}</title>",
            f"<link>{address}</link>",
            f'<guid isPermaLink="false">{_id(one, address)}</guid>',
            f"<category>{one.kind}</category>",
            f"<pubDate>{_rfc822(one.at)}</pubDate>",
            f"<description>{escape(one.text)}</description>",
            "</item>",
        ]
    return NOT_XML.sub("\ufffd", "\n".join([*lines, "</channel></rss>", ""]))


def _rfc822(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def _id(one: News, address: str) -> str:
    return f"{address}#{one.kind}-{one.at}-{quote(one.subject, safe='')}"


def _address(origin: str, path: str) -> str:
    return escape(origin + quote(path, safe="/%:@!$&'()*+,;=~"))
