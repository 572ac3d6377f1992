"""The harness itself: what a page may do, and that a page which is wrong fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs import blocks
from tests.docs.blocks import Document, matches, read
from tests.docs.runner import Failed, Place, session

FENCE = "```"


def page(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Document:
    monkeypatch.setattr(blocks, "ROOT", folder)
    file = folder / "page.md"
    file.write_text(text.replace("'''", FENCE))
    return read(file)


def run(document: Document, place: Place, folder: Path) -> str:
    """Runs the page; the output of its last block that ran."""
    work = folder / "work"
    work.mkdir()
    with session(document, place, work) as running:
        for block in document.blocks:
            running.run(block)
        return running.output


def test_blocks_share_folder_variables_and_namespace(
    tmp_path: Path, host: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """# Page
'''sh
NAME=value
mkdir -p below && cd below
'''
'''python
import os
seen = os.environ["NAME"]
'''
<!-- file: below/said.txt -->
'''text
said
'''
'''sh
test "$NAME" = value
cat said.txt
'''
<!-- output -->
'''text
sa...
'''
'''python
print(seen * 2)
'''
"""
    assert run(page(tmp_path, text, monkeypatch), host, tmp_path) == "valuevalue\n"


def test_a_gateway_of_the_page_answers_where_the_page_says(
    tmp_path: Path, host: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """# Page
'''toml
# fairlead.toml
[[providers]]
id = "gpu1"
base_url = "http://gpu1:8000/v1"
dialect = "vllm"
api_key = { env = "GPU1_KEY" }
[[models]]
id = "m"
[[models.deployments]]
provider = "gpu1"
upstream_model = "m"
price = { input = "0.10", output = "0.30" }
'''
<!-- background: 8080 -->
'''sh
script/serve --config fairlead.toml
'''
'''sh
curl -s http://localhost:8080/v1/chat/completions -H "Authorization: Bearer $FAIRLEAD_API_KEY" \\
  -H "Content-Type: application/json" -d '{"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}'
fairlead keys list | grep key_
'''
<!-- output -->
'''text
... "content":"A token is...
key_...
'''
"""
    assert "key_" in run(page(tmp_path, text, monkeypatch), host, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "'''sh\nfalse | true\n'''\n",
        "'''sh\necho $NOTHING\n'''\n",
        "'''python\nraise ValueError\n'''\n",
        "<!-- not run: it is long -->\n'''python\ndef:\n'''\n",
        "'''json\n{,}\n'''\n",
        "'''toml\n[server]\nmax_hed_bytes = 1\n'''\n",
        "'''sh\nfairlead keys revoke key_nothing\n'''\n",
        "<!-- fails -->\n'''sh\ntrue\n'''\n",
        "'''sh\necho one\n'''\n<!-- output -->\n'''text\ntwo\n'''\n",
        "<!-- append: fairlead.toml -->\n'''toml\n[server]\n'''\n",
    ],
)
def test_a_page_that_is_wrong_fails(text: str, tmp_path: Path, host: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match=r"page\.md:\d"):
        run(page(tmp_path, text, monkeypatch), host, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- not run: -->\n'''sh\ntrue\n'''\n", "needs a reason"),
        ("<!-- not run: it is long -->\n\nA sentence.\n\n'''sh\ntrue\n'''\n", "no code block follows"),
        ("<!-- setup: nothing -->\n# Page\n", "no setup"),
    ],
)
def test_a_mark_that_marks_nothing_is_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=message):
        page(tmp_path, text, monkeypatch)


def test_outputs_are_compared_loosely() -> None:
    assert matches("id  cost\n...\nkey_... 0.25", "a line\nid cost\nkey_12ab laptop\nkey_00ff  0.31 USD")
    assert not matches("second\nfirst", "first\nsecond")
