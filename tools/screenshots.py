"""Takes the pictures of README.md and docs/ from a demonstration: at a fixed time, with a fixed seed, without motion.
Run script/pictures. What is on the pages is tested (tests/demo); how it looks is for eyes."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import urllib.request
import zlib
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "images"
AT = "2026-11-30T12:00"
CALLS = 90_000
# What the pages call themselves, wherever the demonstration listens.
HOST = "localhost:8080"
WIDE = (1280, 860)
NARROW = (390, 844)
SCHEMES = ("light", "dark")
MARA, ADA = "mara.lindqvist@example.org", "ada.winter@example.org"
KEY = "letters, production"
TERMINAL = (1080, 474)
CONTINUED = '\\\n    -H "Authorization: Bearer $FAIRLEAD_API_KEY" > receipt.json'
PNG = b"\x89PNG\r\n\x1a\n"
COLOURS = 256


class Picture(NamedTuple):
    """`who`: signs in, "": nobody; `at`: a selector that is scrolled to; `size`: of the window."""

    name: str
    path: str
    who: str = ""
    at: str = ""
    size: tuple[int, int] = WIDE


PICTURES = (
    Picture("model", "/models/meta/llama-3.3-70b-instruct?window=7d"),
    Picture("performance", "/models/meta/llama-3.3-70b-instruct?window=7d", at="#performance"),
    Picture("model-narrow", "/models/meta/llama-3.3-70b-instruct?window=7d", size=NARROW),
    Picture("activity", "/account/activity", ADA),
    Picture("activity-narrow", "/account/activity", ADA, size=NARROW),
    Picture("keys", "/account/keys", ADA),
    Picture("admin", "/admin", MARA),
    Picture("configuration", "/admin/configuration", MARA),
)
# A terminal, made of what the commands print.
RECEIPT = "receipt"


class Demonstration(NamedTuple):
    port: int
    data: Path
    password: str
    keys: dict[str, str]

    def ask(self, path: str, key: str) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def demonstration() -> Iterator[Demonstration]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "demo"
        process = subprocess.Popen(
            [sys.executable, "-m", "fairlead", "demo", "--port", "0", "--no-engine", "--still", "--at", AT,
             "--calls", str(CALLS), "--data", str(data)],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "no_proxy": "*"},
        )  # fmt: skip
        printed = ""
        try:
            assert process.stdout is not None
            for line in process.stdout:
                printed += line
                if found := re.search(r"Fairlead .* is at http://[^:]+:(\d+)", line):
                    password = re.search(r"with the password: (.+)", printed)
                    assert password is not None, printed
                    keys = json.loads((data / "demonstration.json").read_text("utf-8"))["keys"]
                    yield Demonstration(int(found[1]), data, password[1], keys)
                    break
            else:
                raise SystemExit(f"The demonstration did not start:\n{printed}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def terminal(demo: Demonstration) -> str:
    """The receipt of the last call of KEY, and the verification of the books, as a page that looks like a terminal."""
    with contextlib.closing(sqlite3.connect(demo.data / "fairlead.db")) as database:
        (found,) = database.execute(
            "SELECT u.id FROM usage_records u JOIN api_keys k ON k.id = u.key_id "
            "WHERE k.name = ? AND u.price > 0 ORDER BY u.number DESC LIMIT 1",
            (KEY,),
        ).fetchone()
    receipt = demo.ask(f"/v1/receipts/{found}", demo.keys[KEY])
    verified = subprocess.run(
        [sys.executable, "-m", "fairlead", "verify", "--data", str(demo.data)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    shown = {name: receipt[name] for name in ("id", "model", "outcome")}
    shown |= {"usage": receipt["usage"]["state"], "price_sheet": receipt["price_sheet"]["id"]}
    shown |= {"charged_usd": receipt["charged_usd"]}
    lines = "\n".join(f"{one['class']:14}{one['usd']:15}{one['formula']}" for one in receipt["lines"])
    steps = (
        (f"curl -s http://{HOST}/v1/receipts/$ID {CONTINUED}", ""),
        ("jq '{id, model, outcome, usage: .usage.state, price_sheet: .price_sheet.id, charged_usd}' receipt.json",
         json.dumps(shown, indent=2)),
        ("jq -r '.lines[] | [.class, .usd, .formula] | @tsv' receipt.json", lines),
        ("fairlead verify", verified),
    )  # fmt: skip
    body = "".join(
        f"<b>$</b> <i>{escape(command)}</i>\n{escape(said)}{chr(10) if said else ''}" for command, said in steps
    )
    style = (
        "body{margin:0;font:16px/24px ui-monospace,'DejaVu Sans Mono',monospace;color:#1f2328;background:#fff}"
        "pre{margin:0;padding:20px 24px;white-space:pre-wrap;font:inherit}"
        "b{color:#1a7f37}i{font-style:normal;color:#0b5cad}"
        "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}b{color:#3fb950}i{color:#6cb6ff}}"
    )
    return f"<!doctype html><meta charset=utf-8><style>{style}</style><pre>{body}</pre>"


def take(demo: Demonstration, names: frozenset[str], folder: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", f"--host-resolver-rules=MAP {HOST} 127.0.0.1:{demo.port}",
                  "--force-color-profile=srgb", "--font-render-hinting=none"],
        )  # fmt: skip
        for scheme in SCHEMES:
            for who in dict.fromkeys(one.who for one in PICTURES):
                chosen = [one for one in PICTURES if one.who == who and one.name in names]
                if not chosen:
                    continue
                context = browser.new_context(
                    color_scheme=scheme, reduced_motion="reduce", locale="en-GB", timezone_id="UTC"
                )  # type: ignore[arg-type]
                page = context.new_page()
                if who:
                    page.goto(f"http://{HOST}/sign-in")
                    page.fill("input[name=email]", who)
                    page.fill("input[name=password]", demo.password)
                    page.press("input[name=password]", "Enter")
                    page.wait_for_url(re.compile(r"/(account|admin)"))
                for one in chosen:
                    page.set_viewport_size({"width": one.size[0], "height": one.size[1]})
                    answer = page.goto(f"http://{HOST}{one.path}")
                    assert answer is not None
                    assert answer.status == 200, f"{one.path} answers {answer.status}"
                    if one.at:
                        page.locator(one.at).first.evaluate("one => one.scrollIntoView()")
                    _save(page, folder / f"{one.name}-{scheme}.png")
                context.close()
            if RECEIPT in names:
                page = browser.new_page(color_scheme=scheme, viewport={"width": TERMINAL[0], "height": TERMINAL[1]})  # type: ignore[arg-type]
                page.set_content(terminal(demo))
                _save(page, folder / f"{RECEIPT}-{scheme}.png")
        browser.close()


def _save(page: Any, path: Path) -> None:
    page.wait_for_load_state("networkidle")
    path.write_bytes(smaller(page.screenshot(animations="disabled", caret="hide")))
    print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path, flush=True)


def smaller(png: bytes) -> bytes:
    """The same picture with at most 256 colours: a third of the bytes. Those of antialiasing that are rare become the
    nearest that is left."""
    width, height, pixels = _pixels(png)
    triples = list(zip(pixels[0::3], pixels[1::3], pixels[2::3], strict=True))
    counted = Counter(triples)
    kept = [colour for colour, _ in counted.most_common(COLOURS)]
    place = {colour: at for at, colour in enumerate(kept)}
    for colour in counted:
        if colour not in place:
            place[colour] = min(
                range(len(kept)), key=lambda at: sum((x - y) ** 2 for x, y in zip(kept[at], colour, strict=True))
            )
    indices = bytes(map(place.__getitem__, triples))
    rows = b"".join(b"\0" + indices[at : at + width] for at in range(0, len(indices), width))
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    palette = bytes(part for colour in kept for part in colour)
    parts = ((b"IHDR", head), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return PNG + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def _pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the red, green and blue of each pixel of an 8-bit PNG without a palette."""
    at, data = len(PNG), b""
    while at < len(png):
        (size,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colours = struct.unpack(">IIBB", body[:10])
        elif kind == b"IDAT":
            data += body
        at += size + 12
    assert (depth, colours) in ((8, 2), (8, 6))
    step = 3 if colours == 2 else 4
    raw, length = zlib.decompress(data), width * step
    before, rows = bytearray(length), []
    for start in range(0, len(raw), length + 1):
        before = _unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + length]), before, step)
        rows.append(bytes(before))
    pixels = b"".join(rows)
    if step == 3:
        return width, height, pixels
    opaque = bytearray(width * height * 3)
    for channel in range(3):
        opaque[channel::3] = pixels[channel::4]
    return width, height, bytes(opaque)


def _unfiltered(kind: int, row: bytearray, up: bytearray, step: int) -> bytearray:
    """PNG's filters: https://www.w3.org/TR/png/#9Filters"""
    if kind == 2:
        return bytearray((one + other) & 255 for one, other in zip(row, up, strict=True))
    if kind:
        for at in range(len(row)):
            left = row[at - step] if at >= step else 0
            if kind == 1:
                row[at] = (row[at] + left) & 255
            elif kind == 3:
                row[at] = (row[at] + (left + up[at]) // 2) & 255
            else:
                corner = up[at - step] if at >= step else 0
                guess = left + up[at] - corner
                near = min((left, up[at], corner), key=lambda value: abs(guess - value))
                row[at] = (row[at] + near) & 255
    return row


def main() -> None:
    known = [*(one.name for one in PICTURES), RECEIPT]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(known))
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder of the pictures")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"there is no picture {', '.join(unknown)}: choose from {', '.join(known)}")
    given.into.mkdir(parents=True, exist_ok=True)
    with demonstration() as demo:
        take(demo, frozenset(given.names or known), given.into)


if __name__ == "__main__":
    main()
