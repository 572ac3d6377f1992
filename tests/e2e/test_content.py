"""What is kept of calls that do not end on the connection they came by: stored responses, and those in the background."""

from __future__ import annotations

from pathlib import Path

import openai

from fairlead.admin.audit import command_line
from fairlead.admin.content import call_content, change_content_policy, content_entry, content_state
from fairlead.store import open_store
from fairlead.testing import ScriptedUpstream

from .conftest import AT_ONCE, eventually, model, provider, serving


def test_stored_and_background_responses_and_streams_are_kept(tmp_path: Path) -> None:
    with (
        ScriptedUpstream() as upstream,
        serving(
            tmp_path, AT_ONCE + "[responses]\nstore = true\n" + provider(upstream.url) + model(name="m"),
        ) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client,
    ):  # fmt: skip
        store = open_store(served.data)
        try:
            with store.read() as connection:
                account = connection.exec_driver_sql("SELECT account_id FROM api_keys").scalar_one()
            change_content_policy(store, command_line(), account, {"enabled": True})

            def ids() -> set[str]:
                with store.read() as connection:
                    return set(connection.exec_driver_sql("SELECT id FROM call_content").scalars())

            def is_kept() -> bool:
                client.responses.create(model="m", input="Is it on?", store=True)
                return content_state(store, account).counts.kept > 0

            eventually(is_kept)
            known = ids()
            client.responses.create(model="m", input="stored one", store=True)
            client.responses.create(model="m", input="in the background", background=True)
            list(client.responses.create(model="m", input="streamed one", stream=True))
            client.responses.create(model="m", input="not kept", store=False)

            def texts() -> set[str]:
                found = set()
                for one in ids() - known:
                    entry = content_entry(call_content(store, command_line(), account, one))
                    assert entry["answer"][-1]["parts"][0]["text"] == "This is a scripted answer."
                    assert entry["answer_is_whole"]
                    found.add(entry["request"][0]["parts"][0]["text"])
                return found - {"Is it on?"}

            eventually(lambda: texts() == {"stored one", "in the background", "streamed one"})
        finally:
            store.close()
