"""What search engines read (JSON-LD), as one block that cannot end its own script element."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from fairlead.catalogue.snapshot import Model
from fairlead.catalogue.views import PriceRange, paid_otherwise
from fairlead.money import Picodollars
from fairlead.site.model.faq import Question


def structured(model: Model, vendor: str, origin: str, ranges: Sequence[PriceRange], faq: Sequence[Question]) -> Markup:
    page = origin + model.path
    trail = (("Models", f"{origin}/models"), (vendor, f"{origin}/models/{model.vendor}"), (model.name, page))
    product: dict[str, object] = {
        "@type": "Product",
        "@id": page,
        "name": model.name,
        "description": model.description,
        "url": page,
        "brand": {"@type": "Brand", "name": vendor},
    }
    other = paid_otherwise(model)
    offers = [
        {
            "@type": "Offer",
            "name": f"{row.name} tokens",
            "price": Picodollars(row.least).per_million(),
            "priceCurrency": "USD",
            "description": "US dollars per million tokens",
        }
        for row in ranges
        if row.name in ("input", "output") and other is None
    ]
    if other is not None:
        amount = Picodollars(other.least)
        each = other.name == "request"
        offers = [
            {
                "@type": "Offer",
                "name": "each request" if each else f"{other.name} tokens",
                "price": amount.dollars() if each else amount.per_million(),
                "priceCurrency": "USD",
                "description": "US dollars" if each else "US dollars per million tokens",
            }
        ]
    if offers:
        product["offers"] = offers
    graph = [
        product,
        {
            "@type": "BreadcrumbList",
            "itemListElement": [
                {"@type": "ListItem", "position": at, "name": name, "item": url}
                for at, (name, url) in enumerate(trail, 1)
            ],
        },
        {
            "@type": "FAQPage",
            "mainEntity": [
                {
                    "@type": "Question",
                    "name": one.question,
                    "acceptedAnswer": {"@type": "Answer", "text": one.answer},
                }
                for one in faq
            ],
        },
    ]
    text = msgspec.json.encode({"@context": "https://schema.org", "@graph": graph}).decode()
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 - escaped
