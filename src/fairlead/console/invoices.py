"""Invoices as PDF, with the fonts that every reader has: Latin text only, other letters become a question mark."""

from __future__ import annotations

import io
from datetime import date
from typing import Final

import pydyf  # type: ignore[import-untyped]

from fairlead.admin.statement import Invoice, month_of
from fairlead.money import dollars

WIDTH: Final = 595  # A4, in points
HEIGHT: Final = 842
MARGIN: Final = 56
ROW: Final = 18
ROWS_PER_PAGE: Final = 30
# Widths of Helvetica's digits and what stands among them, in thousandths of the size: all digits are alike.
DIGIT_WIDTHS: Final = {".": 278, ",": 278, "$": 556, "-": 333, " ": 278}
COLUMNS: Final = (MARGIN, 330, 400, 470, WIDTH - MARGIN)  # where each begins, or ends when it has figures


def pdf(found: Invoice, issuer: str, today: date) -> bytes:
    """The invoice of a month. `issuer`: the name of this server."""
    document = pydyf.PDF()
    fonts = {}
    for name, base in (("F1", "Helvetica"), ("F2", "Helvetica-Bold")):
        font = pydyf.Dictionary(
            {"Type": "/Font", "Subtype": "/Type1", "BaseFont": f"/{base}", "Encoding": "/WinAnsiEncoding"}
        )
        document.add_object(font)
        fonts[name] = font.reference
    rows = [
        (model or "unknown", f"{sums.requests:,}", f"{sums.prompt_tokens:,}", f"{sums.completion_tokens:,}",
         f"${dollars(sums.charged)}")
        for model, sums in found.models
    ]  # fmt: skip
    pages = [rows[at : at + ROWS_PER_PAGE] for at in range(0, max(1, len(rows)), ROWS_PER_PAGE)]
    for number, some in enumerate(pages, 1):
        stream = pydyf.Stream(compress=True)
        top = _head(stream, found, issuer, today) if number == 1 else HEIGHT - MARGIN
        top = _row(stream, top, ("Model", "Calls", "Prompt tokens", "Completion", "Amount"), "F2")
        for row in some:
            top = _row(stream, top, row, "F1")
        if number == len(pages):
            _sums(stream, top, found)
        _text(stream, MARGIN, 30, f"{found.number}, page {number} of {len(pages)}", "F1", 8)
        document.add_object(stream)
        page = pydyf.Dictionary(
            {
                "Type": "/Page", "Parent": document.pages.reference, "Contents": stream.reference,
                "MediaBox": pydyf.Array([0, 0, WIDTH, HEIGHT]),
                "Resources": pydyf.Dictionary({"Font": pydyf.Dictionary(fonts)}),
            }
        )  # fmt: skip
        document.add_page(page)
    document.info["Title"] = pydyf.String(f"Invoice {found.number}")
    out = io.BytesIO()
    document.write(out)
    return out.getvalue()


def _head(stream: pydyf.Stream, found: Invoice, issuer: str, today: date) -> float:
    last = date.fromordinal(month_of(found.month)[1].toordinal() - 1)
    _text(stream, MARGIN, HEIGHT - 80, "Invoice", "F2", 22)
    for at, (name, value) in enumerate(
        (
            ("Number", found.number),
            ("Date", today.isoformat()),
            ("Period", f"{found.month.isoformat()} to {last.isoformat()} (UTC)"),
            ("From", issuer),
            ("To", f"{found.account.name} ({found.account.id})"),
        )
    ):
        _text(stream, MARGIN, HEIGHT - 116 - at * 16, name, "F2", 10)
        _text(stream, MARGIN + 60, HEIGHT - 116 - at * 16, value, "F1", 10)
    if today <= last:
        _text(stream, MARGIN, HEIGHT - 206, "The month is not over: this invoice is preliminary.", "F1", 10)
    return HEIGHT - 236


def _row(stream: pydyf.Stream, top: float, cells: tuple[str, ...], font: str) -> float:
    _text(stream, COLUMNS[0], top, cells[0][:48], font, 9)
    for at, cell in zip(COLUMNS[1:], cells[1:], strict=True):
        _text(stream, at - _width(cell, 9), top, cell, font, 9)
    stream.set_line_width(0.5)
    stream.set_color_rgb(0.8, 0.8, 0.8, stroke=True)
    stream.move_to(MARGIN, top - 6)
    stream.line_to(WIDTH - MARGIN, top - 6)
    stream.stroke()
    return top - ROW


def _sums(stream: pydyf.Stream, top: float, found: Invoice) -> None:
    lines = [("Total of calls", found.charged)]
    if found.refunded:
        lines += [("Refunds", -found.refunded), ("Total", found.charged - found.refunded)]
    for at, (name, value) in enumerate(lines):
        amount = f"${dollars(value)}" if value >= 0 else f"-${dollars(-value)}"
        _text(stream, COLUMNS[2], top - 6 - at * ROW, name, "F2", 10)
        _text(stream, COLUMNS[4] - _width(amount, 10), top - 6 - at * ROW, amount, "F2", 10)
    paid = "Paid from prepaid credit." if found.account.prepaid else "Calls of this account need no credit."
    _text(stream, MARGIN, top - 6 - len(lines) * ROW, paid, "F1", 9)


def _width(text: str, size: float) -> float:
    return sum(DIGIT_WIDTHS.get(one, 556) for one in text) * size / 1000


def _text(stream: pydyf.Stream, x: float, y: float, text: str, font: str, size: float) -> None:
    stream.begin_text()
    stream.set_font_size(font, size)
    stream.set_text_matrix(1, 0, 0, 1, x, y)
    stream.show_text_string(_latin(text))
    stream.end_text()


def _latin(text: str) -> str:
    """What the fonts have letters for."""
    return text.encode("cp1252", "replace").decode("cp1252").encode("latin-1", "replace").decode("latin-1")
