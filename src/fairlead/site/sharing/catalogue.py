"""The whole catalogue as data for programs, page by page, and all that a language model needs in one text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlead.catalogue.snapshot import Deployment, Model, Snapshot
from fairlead.catalogue.views import limits, price_ranges
from fairlead.money import Picodollars
from fairlead.site.forms import plain
from fairlead.site.listing import vendor_name
from fairlead.wire.usage import CLASSES

PAGE_MODELS: Final = 500
# In llms-full.txt: those that can be called come first.
MOST_IN_FULL: Final = 500
PRICES_IN_FULL: Final = ("input", "cached_input", "output", "request")
_COMMENT: Final = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def catalogue_page(
    models: Sequence[Model], states: Mapping[str, str], snapshot: Snapshot, origin: str, page: int
) -> dict[str, Any]:
    """So many models behind those of earlier pages, which begin with 1. `next`: the address of the next page."""
    pages = max(1, -(-len(models) // PAGE_MODELS))
    shown = models[(page - 1) * PAGE_MODELS : page * PAGE_MODELS]

    def entry(model: Model) -> dict[str, Any]:
        return model_entry(model, vendor_name(snapshot, model.vendor), states.get(model.id, "none"), origin)

    return {
        "object": "catalogue",
        "total": len(models),
        "page": page,
        "pages": pages,
        "next": f"{origin}/api/catalogue.json?page={page + 1}" if page < pages else None,
        "models": [entry(one) for one in shown],
    }


def model_entry(model: Model, vendor: str, state: str, origin: str) -> dict[str, Any]:
    """A model with its deployments. Prices are decimal strings of US dollars per million tokens (`request`: per
    request)."""
    facts = model.facts
    return {
        "id": model.id,
        "name": model.name,
        "vendor": {"id": model.vendor, "name": vendor},
        "description": model.description,
        "url": origin + model.path,
        "aliases": model.aliases,
        "mode": model.mode,
        "state": state,
        "released": facts.text("released"),
        "knowledge_cutoff": facts.text("knowledge_cutoff"),
        "licence": facts.text("licence"),
        "context_length": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "input_modalities": model.input_modalities,
        "output_modalities": model.output_modalities,
        "capabilities": facts.capabilities,
        "parameters": sorted(name for name, fact in facts.family("parameter").items() if fact.value is True),
        "deployments": [_deployment(model, one) for one in model.deployments],
        "list_prices": facts.prices,
    }


def _deployment(model: Model, one: Deployment) -> dict[str, Any]:
    context, output = limits(model, one)
    rates = one.sheet.price.rates
    return {
        "id": one.id,
        "provider": one.provider,
        "region": one.region,
        "quantization": one.quantization,
        "keeps_data": one.keeps_data,
        "context_length": context,
        "max_output_tokens": output,
        "price_sheet": one.sheet.id,
        "prices": {
            name: _dollars(name, rate)
            for name, rate in zip(CLASSES, rates, strict=True)
            if rate or name in ("input", "output")
        },
    }


def _dollars(name: str, picodollars: int) -> str:
    amount = Picodollars(picodollars)
    return amount.dollars() if name == "request" else amount.per_million()


def full_text(models: Sequence[Model], snapshot: Snapshot, origin: str, guides: Sequence[str]) -> str:
    """/llms-full.txt: how to call, every model in a paragraph, and the guides as they are. `guides`: Markdown."""
    ordered = sorted(models, key=lambda one: (not one.deployments, one.id))[:MOST_IN_FULL]
    lines = [
        "# Fairlead, in full",
        "",
        "> A gateway to language models: one OpenAI-compatible API and one key for many models, with exact bills.",
        "",
        f"The base address of the API is {origin}/v1. Send a key as `Authorization: Bearer KEY`.",
        f"The same as data: {origin}/api/catalogue.json. A shorter text: {origin}/llms.txt.",
        "",
        "# Models",
        "",
    ]
    for model in ordered:
        lines += [f"## {plain(model.id)}", "", *_paragraph(model, vendor_name(snapshot, model.vendor)), ""]
    lines += ["# Guides", "", *(_COMMENT.sub("", text) for text in guides)]
    return "\n".join(lines) + "\n"


def _paragraph(model: Model, vendor: str) -> list[str]:
    facts = model.facts
    lines = [f"{plain(model.name)} by {plain(vendor)}. {plain(model.description)}".strip()]
    told = [
        ("context", model.context_length and f"{model.context_length} tokens"),
        ("longest answer", model.max_output_tokens and f"{model.max_output_tokens} tokens"),
        ("input", ", ".join(model.input_modalities or ())),
        ("output", ", ".join(model.output_modalities or ())),
        ("can", ", ".join(facts.capabilities)),
        ("parameters", ", ".join(sorted(n for n, f in facts.family("parameter").items() if f.value is True))),
    ]
    lines += [f"- {name}: {plain(value)}" for name, value in told if value]
    prices = {row.name: row for row in price_ranges(model) if row.name in PRICES_IN_FULL}
    if prices:
        shown = ", ".join(
            f"{name} {_dollars(name, row.least)}" + (f" to {_dollars(name, row.most)}" if row.most != row.least else "")
            for name, row in prices.items()
        )
        lines.append(f"- US dollars per million tokens: {shown}")
        lines.append(f"- deployments: {plain(', '.join(one.id for one in model.deployments))}")
    else:
        lines.append("- not deployed here")
    return lines
