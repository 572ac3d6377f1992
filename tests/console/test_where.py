"""Where the console is served: behind the same port, its operator's pages at an address of their own, or nowhere."""

from __future__ import annotations

import contextlib
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

from tests.e2e.conftest import serving


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, str, str]:
    """Status, where it leads, and the text."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect())
    request = urllib.request.Request(url, body, {"Accept": "text/html", **headers})
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, "", answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.headers.get("location", ""), answer.read().decode()


def free_port() -> int:
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_the_pages_of_operators_can_be_at_an_address_of_their_own(tmp_path: Path) -> None:
    own = f"http://127.0.0.1:{(port := free_port())}"
    with serving(tmp_path, f'[console]\nadmin_listen = "127.0.0.1:{port}"\n') as served:
        [link] = re.findall(r"Sign in as operator, once within a day: (\S+)#", served.output)
        assert link == f"{own}/sign-in"
        assert ask(f"{served.url}/admin")[0] == 404
        assert ask(f"{served.url}/account")[:2] == (303, "/sign-in?next=%2Faccount")
        assert ask(f"{own}/admin")[:2] == (303, "/sign-in?next=%2Fadmin")
        page = ask(f"{own}/sign-in")[2]
        for address in re.findall(r'(?:href|src)="(/(?:static|console/static)/[^"]+)"', page):
            assert ask(own + address)[0] == 200, address
        assert ask(f"{own}/v1/models")[0] == 404
        form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": own}
        assert ask(f"{own}/sign-in", b"email=a", **form)[0] == 403  # its body was read: the token is missing


def test_without_the_console_nothing_leads_to_it(tmp_path: Path) -> None:
    with serving(tmp_path, "[console]\nenabled = false\n") as served:
        assert "Sign in" not in served.output
        for path in ("/sign-in", "/account", "/admin"):
            assert ask(served.url + path)[0] == 404, path
        assert "/sign-in" not in ask(f"{served.url}/models")[2]
