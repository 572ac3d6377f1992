"""Draws the two pictures of docs/internals: `python tools/pictures.py`. SVG of our own, light and dark."""

from __future__ import annotations

from html import escape
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "internals"
STYLE = """
text{font:13px system-ui,sans-serif;fill:#1f2328}.s{font-size:12px;fill:#57606a}.h{font-weight:600}
.c{font-family:ui-monospace,monospace;font-size:12px}.b{fill:#f6f8fa;stroke:#d0d7de}.l{stroke:#57606a;fill:none;stroke-width:1.5}
.a{fill:#57606a}.k{stroke:#0969da;fill:none;stroke-width:1.5;stroke-dasharray:4 3}.ka{fill:#0969da}.bg{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.b{fill:#151b23;stroke:#3d444d}.l{stroke:#9198a1}.a{fill:#9198a1}
.k{stroke:#4493f8}.ka{fill:#4493f8}.bg{fill:#0d1117}}"""

# As tests/house/test_imports.py has the layers, top to bottom: the parts of a row, and what the row is for.
HOUSE: tuple[tuple[str, str], ...] = (
    ("cli demo workers runtime compose", "starts processes; compose alone chooses concrete classes"),
    ("console api site admin", "endpoints, web pages, management"),
    ("gateway doors content", "one call from beginning to end; what callers speak"),
    ("serving operations routing", "who serves a call; what can be asked for"),
    (
        "catalogue providers ledger accounts people telemetry engines alerts",
        "models, vendors, money, keys, measurements",
    ),
    ("store http prices schemas processes settings tokens", "database, network, prices: no part knows a model call"),
    ("wire money toml errors background threads clock compiled", "values and shapes that all share"),
)
STEPS: tuple[tuple[str, str, str], ...] = (
    ("http", "1. Request arrives", "bounded in size and time; the key is checked before the body is read"),
    ("doors", "2. Parse", "the caller's dialect becomes a Demand and a payload"),
    ("gateway", "3. Admit", "model, permissions, limits"),
    ("ledger", "4. Hold", "the most that the call can cost is set aside; the bill is opened"),
    ("routing", "5. Plan", "candidates in order, and a reason for each that is left out"),
    ("gateway", "6. Attempt", "translate, send, wait for the first word"),
    ("gateway", "7. Deliver", "blocks go from the provider's socket to the caller's as they come"),
    ("ledger", "8. Settle", "charge, record in the spool, then the last bytes leave"),
    ("telemetry", "9. Count", "outcome, first token and speed of the call and of each attempt"),
)


def svg(width: int, height: int, title: str, description: str, body: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-labelledby="t d"><title id="t">{escape(title)}</title>'
        f'<desc id="d">{escape(description)}</desc>'
        f'<style>{STYLE}</style>\n<rect class="bg" width="{width}" height="{height}"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def box(x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="b" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def arrow(x: float, top: float, bottom: float) -> str:
    return f'<path class="l" d="M{x:g} {top:g}V{bottom - 6:g}"/><path class="a" d="M{x - 4:g} {bottom - 7:g}h8l-4 7z"/>'


def house() -> str:
    left, row, gap, width = 20, 44, 26, 700
    body, y = [], 20
    for parts, purpose in HOUSE:
        names = parts.split()
        each = (width - 8 * (len(names) - 1)) / len(names)
        for at, name in enumerate(names):
            x = left + at * (each + 8)
            body += [box(x, y, each, row), text(x + each / 2, y + 27, name, "c", "middle")]
        body.append(text(left, y + row + 16, purpose, "s"))
        y += row + gap
    body += [arrow(width + 44, 24, y - 24), text(width + 34, y - 2, "imports", "s", "middle")]
    said = "; ".join(f"{parts.replace(' ', ', ')}: {purpose}" for parts, purpose in HOUSE)
    return svg(
        width + 80,
        y + 10,
        "The parts of Fairlead",
        f"From top to bottom, each imports only from rows below. {said}.",
        body,
    )


def call() -> str:
    left, wide, high, gap, top = 130, 560, 46, 18, 50
    body = [text(left + wide / 2, 24, "caller", "h", "middle"), arrow(left + wide / 2, 30, top)]
    places = []
    for at, (part, name, what) in enumerate(STEPS):
        y = top + at * (high + gap)
        places.append(y)
        body += [box(left, y, wide, high), text(left + 12, y + 19, name, "h"), text(left + 12, y + 37, what, "s")]
        body.append(text(left + wide - 12, y + 19, part, "c", "end"))
        if at + 1 < len(STEPS):
            body.append(arrow(left + wide / 2, y + high, y + high + gap))
    attempt, deliver, settle, bottom = places[5], places[6], places[7], places[-1] + high
    x = left + wide
    body += [
        f'<path class="l" d="M{x} {attempt + 14}h34v18h-28"/><path class="a" d="M{x + 7} {attempt + 28}v8l-7 -4z"/>',
        text(x + 42, attempt + 20, "failed: the next", "s"),
        text(x + 42, attempt + 35, "candidate", "s"),
        f'<path class="k" d="M{left} {deliver + 23}h-60V24H{left + wide / 2 - 40}"/>',
        f'<path class="ka" d="M{left + wide / 2 - 41} 20v8l7 -4z"/>',
        text(left - 64, deliver - 8, "answer", "s", "end"),
        f'<path class="k" d="M{left} {settle + 23}h-60V{deliver + 23}"/>',
        text(left - 64, settle + 15, "last bytes", "s", "end"),
        arrow(left + wide / 2, bottom, bottom + gap + 10),
        text(
            left + wide / 2,
            bottom + gap + 28,
            "in the background: the spool is stored in the database, a quarter of a second later",
            "s",
            "middle",
        ),
    ]
    said = " ".join(f"{name} ({part}): {what}." for part, name, what in STEPS)
    return svg(850, bottom + gap + 44, "The path of one call", said, body)


if __name__ == "__main__":
    (FOLDER / "house.svg").write_text(house(), "utf-8")
    (FOLDER / "call.svg").write_text(call(), "utf-8")
