"""Forms with files: what two parsers would read differently is refused, so that no provider finds another model in one
than was paid for; the shapes that clients send are taken."""

from __future__ import annotations

import asyncio
import contextlib
import email
import os
from pathlib import Path
from typing import Any

import pytest
from tests.http.support import eventually, read_until, running

from fairlead.errors import InvalidRequest, UnsupportedEncoding
from fairlead.http.form import LONGEST_VALUE, read_form
from fairlead.http.request import Request
from fairlead.http.upload import MOST_UPLOADS, Upload, Uploads
from fairlead.wire.forms import TranscriptionRequest

KIND = b"multipart/form-data; boundary=b"
MODEL = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ncheap\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\nxx\r\n'
END = b"--b--\r\n"


def read(body: bytes, kind: bytes = KIND, *headers: tuple[bytes, bytes]) -> TranscriptionRequest:
    request = Request("POST", b"/", [(b"content-type", kind), *headers], body, "1.1")
    form = asyncio.run(read_form(request))
    return TranscriptionRequest(form.source, form.kind, form.parts)


def sent(request: TranscriptionRequest) -> bytes:
    return b"".join(map(bytes, request.body("upstream", ())))


def part(head: bytes, value: bytes = b"dear") -> bytes:
    return b"--b\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


def hidden(head: bytes) -> bytes:
    return MODEL + part(head) + FILE + END


OTHER = b"--c\r\n" + MODEL[5:] + b"--c\r\n" + FILE[5:] + b"--c--"
DISPOSITION = b"Content-Disposition: form-data; "
MISREAD = {
    "a name in another header": (hidden(b'X-A: ;name="user"\r\n' + DISPOSITION + b'name="model"'), KIND),
    "a file name in another header": (hidden(b"X-A: ;filename=\r\n" + DISPOSITION + b'name="model"'), KIND),
    "a name twice": (hidden(DISPOSITION + b'name="user"; name="model"'), KIND),
    "a name with and without quotes": (hidden(DISPOSITION + b'name=model; name="user"'), KIND),
    "a disposition twice": (hidden(DISPOSITION + b'name="user"\r\n' + DISPOSITION + b'name="model"'), KIND),
    "a folded header": (hidden(b'X-A: a\r\n ;name="user"\r\n' + DISPOSITION + b'name="model"'), KIND),
    "a header that ends with LF": (hidden(b"X-A: a\n" + DISPOSITION + b'name="model"'), KIND),
    "a header with a zero": (hidden(b"X-A: \0\r\n" + DISPOSITION + b'name="user"'), KIND),
    "an escaped name": (hidden(DISPOSITION + b'name="mod\\el"'), KIND),
    "an escaped quote": (hidden(DISPOSITION + b'name="us\\"; name=\\"model"'), KIND),
    "an encoded name": (hidden(DISPOSITION + b"name=\"user\"; name*=utf-8''model; name=\"model\""), KIND),
    "a coded value": (hidden(DISPOSITION + b'name="user"\r\nContent-Transfer-Encoding: base64'), KIND),
    "the model as a file": (hidden(DISPOSITION + b'name="model"; filename=""'), KIND),
    "the model as a list": (hidden(DISPOSITION + b'name="model[]"'), KIND),
    "the model in capitals": (hidden(DISPOSITION + b'name="MODEL"'), KIND),
    "the model with a space": (hidden(DISPOSITION + b'name=" model"'), KIND),
    "before the first boundary": (b"--b\nx: y\n\ndear\n\r\n" + MODEL + FILE + END, KIND),
    "after other lines": (b"x\n--b\n" + DISPOSITION + b'name="model"\n\ndear\n\r\n' + MODEL + FILE + END, KIND),
    "behind the last boundary": (MODEL + FILE + END + MODEL.replace(b"cheap", b"dear") + END, KIND),
    "behind an LF alone": (MODEL + part(DISPOSITION + b'name="user"', b"x\n--b\r\n\r\ndear") + FILE + END, KIND),
    "two boundaries": (
        MODEL + part(DISPOSITION + b'name="user"', b"\r\n" + OTHER) + FILE + END,
        b"multipart/form-data; xboundary=b; boundary=c",
    ),
    "a boundary twice": (MODEL + FILE + END, b"multipart/form-data; boundary=b; boundary=c"),
    "an escaped boundary": (MODEL + FILE + END, b'multipart/form-data; boundary="b\\"'),
}  # fmt: skip


@pytest.mark.parametrize("case", list(MISREAD))
def test_what_a_provider_may_read_differently_is_refused(case: str) -> None:
    with pytest.raises(InvalidRequest):
        read(*MISREAD[case])


CLIENTS = {
    "quoted": (MODEL + FILE + END, KIND),
    "a boundary in quotes": (MODEL + FILE + END, b'Multipart/Form-Data; charset=utf-8; boundary="b"'),
    "no quotes, as .NET sends it": (
        MODEL.replace(b'"model"', b"model")
        + b"--b\r\nContent-Type: audio/mpeg\r\nContent-Disposition: form-data; name=file; filename=a.mp3; "
        b"filename*=utf-8''a.mp3\r\n\r\nxx\r\n" + END,
        b'multipart/form-data; boundary="b"',
    ),
    "escapes in a file's name, as curl sends it": (MODEL + FILE.replace(b"a.mp3", b'a\\"b\\\\c.mp3') + END, KIND),
    "uncoded, as Java sends it": (
        MODEL.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", 1)
        + FILE + END,
        KIND,
    ),
    "a line's end before the first boundary": (b"\r\n" + MODEL + FILE + END, KIND),
    "no line's end behind the last one": (MODEL + FILE + END[:-2], KIND),
    "lower case, no space": (MODEL.replace(b"Content-Disposition: form-data; ", b"content-disposition:form-data;") + FILE + END, KIND),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CLIENTS))
def test_what_clients_send_is_taken_and_sent_on_to_the_byte(case: str) -> None:
    body, kind = CLIENTS[case]
    request = read(body, kind)
    assert (request.model, request.files, request.kind) == ("cheap", 2, kind)
    assert sent(request) == body.replace(b"cheap", b"upstream")


@pytest.mark.parametrize("case", list(CLIENTS))
def test_another_parser_finds_the_same_parts(case: str) -> None:
    body, kind = CLIENTS[case]
    message: Any = email.message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + sent(read(body, kind)))
    parts = [(one.get_param("name", header="content-disposition"), one.get_payload()) for one in message.get_payload()]
    assert [(name, value.strip()) for name, value in parts] == [("model", "upstream"), ("file", "xx")]


def test_values_together_have_a_bound_and_files_have_none() -> None:
    value = b"x" * LONGEST_VALUE
    files = b"".join(part(DISPOSITION + b'name="file"; filename="a"', value) for _ in range(3))
    assert read(MODEL + files + END).files == 3 * LONGEST_VALUE
    with pytest.raises(InvalidRequest, match="no files"):
        read(MODEL + part(DISPOSITION + b'name="a[]"', value) * 2 + FILE + END)


def test_a_compressed_form_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedEncoding, match="Content-Encoding"):
        read(MODEL + FILE + END, KIND, (b"content-encoding", b"gzip"))
    assert read(MODEL + FILE + END, KIND, (b"content-encoding", b"identity")).model == "cheap"


def test_uploads_that_begin_at_once_share_one_bound(tmp_path: Path) -> None:
    """Each has found room when it began: none of them had sent anything."""
    most = 65_536
    uploads = Uploads(tmp_path, ["/x"], most)
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % most
    with running(uploads=uploads) as server, contextlib.ExitStack() as stack:
        callers = [stack.enter_context(server.connect()) for _ in range(MOST_UPLOADS + 1)]
        for caller in callers:
            caller.sendall(head)
            read_until(caller, b"100 Continue\r\n\r\n")
        for caller in callers[:-1]:
            caller.sendall(bytes(most - 1))
        eventually(lambda: uploads.stored == MOST_UPLOADS * (most - 1))
        callers[-1].sendall(bytes(most - 1))
        assert b"503" in read_until(callers[-1], b"\r\n\r\n")
        assert uploads.stored == MOST_UPLOADS * (most - 1), "the others go on"
        callers[0].sendall(b"x")
        assert b"200" in read_until(callers[0], b"\r\n\r\n")
        stack.close()
        eventually(lambda: not uploads.stored)


class FullDisk(Uploads):
    def begin(self, length: int) -> Upload | None:
        return Upload(os.open("/dev/full", os.O_RDWR), self) if length else super().begin(length)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's /dev/full")
def test_an_upload_that_the_disk_has_no_room_for_is_refused(tmp_path: Path) -> None:
    uploads = FullDisk(tmp_path / "missing", ["/x"], 65_536)
    head = b"POST /x HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n"
    with running(uploads=uploads) as server:
        assert b" 503 " in server.ask(head % b"Content-Length: 9" + bytes(9))
        assert b" 503 " in server.ask(head % b"Transfer-Encoding: chunked" + b"9\r\n" + bytes(9) + b"\r\n0\r\n\r\n")
        assert not uploads.stored
