"""The static files of a package: styles, scripts, icons."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fairlead.site.cached_page import CachedPage
from fairlead.site.language import YEAR_SECONDS

MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}


class StaticFiles:
    """The folder `static` of a package, read once, below a path."""

    def __init__(self, package: str, prefix: str) -> None:
        self._prefix = prefix
        self._files: dict[str, CachedPage] = {}
        for entry in (files(package) / "static").iterdir():
            media_type = MEDIA_TYPES.get(PurePosixPath(entry.name).suffix)
            if media_type is not None:
                # A script that another one imports has no hash in its address: after an upgrade none may be an old one.
                kept = "no-cache" if media_type == MEDIA_TYPES[".js"] else "public, max-age=300"
                self._files[entry.name] = CachedPage.of(entry.read_bytes(), media_type, kept)

    def address(self, name: str) -> str:
        """The address of a file, with its content's hash: it may be kept for ever."""
        return f"{self._prefix}{name}?v={self._files[name].etag[1:9]}"

    def answer(self, request: Request, name: str) -> Response | None:
        """None: there is no such file."""
        found = self._files.get(name)
        if found is None:
            return None
        response = found.answer(request)
        if request.scope["query_string"] == f"v={found.etag[1:9]}".encode():
            response.headers["cache-control"] = f"public, max-age={YEAR_SECONDS}, immutable"
        return response
