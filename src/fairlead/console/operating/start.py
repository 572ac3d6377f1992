"""/admin/start: from the first start to a server that others use."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from fairlead.admin import directory
from fairlead.admin.jobs import waiting
from fairlead.console.operating.configuration import in_force
from fairlead.console.page import ConsolePage, ConsoleVisit


async def start(visit: ConsoleVisit) -> Response:
    deployments = visit.services.live.deployments()
    people = await visit.run(directory.list_people, 2)
    called = (await visit.run(waiting)).counted_until is not None
    model = deployments[0]["model"] if deployments else "MODEL"
    return visit.render(
        "admin/start.html",
        current=await visit.run(in_force),
        providers=[one.id for one in visit.services.settings().providers],
        models=sorted({one["model"] for one in deployments}),
        invited=len(people) > 1,
        called=called,
        local=[one["model"] for one in visit.services.live.engines()],
        claude_code=(
            f"export ANTHROPIC_BASE_URL={visit.origin}\nexport ANTHROPIC_AUTH_TOKEN=$FAIRLEAD_API_KEY\n"
            f"export ANTHROPIC_MODEL={model}\nclaude"
        ),
        codex=(
            f'# ~/.codex/config.toml\nmodel = "{model}"\nmodel_provider = "fairlead"\n\n'
            f'[model_providers.fairlead]\nname = "Fairlead"\nbase_url = "{visit.api}"\n'
            'env_key = "FAIRLEAD_API_KEY"\nwire_api = "responses"'
        ),
        open_webui=f"OPENAI_API_BASE_URL={visit.api}\nOPENAI_API_KEY=$FAIRLEAD_API_KEY",
    )


PAGES: Final = (ConsolePage("/admin/start", start, "operate"),)
