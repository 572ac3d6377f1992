"""Engines of the configuration: only files below the folders of models, started and ended as versions come and go."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.engines.test_supervisor import eventually

from fairlead.engines.configured import ConfiguredEngines, EngineRoom
from fairlead.engines.folders import allowed_file, find_files, model_folders
from fairlead.engines.spec import DEMO_GGUF
from fairlead.errors import ConfigurationError
from fairlead.settings import EngineSettings, Settings

TINY = EngineSettings(id="tiny", file="tiny.gguf", context_length=512, slots=1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    found = tmp_path / "data"
    (found / "models").mkdir(parents=True)
    shutil.copyfile(DEMO_GGUF, found / "models" / "tiny.gguf")
    return found


def of(*engines: EngineSettings) -> Settings:
    return Settings(engines=engines)


@pytest.mark.parametrize(
    "file", ["../secret.gguf", "/etc/passwd", "out.gguf", "sub/../../secret.gguf", "", ".", "linked/secret.gguf"]
)
def test_a_file_elsewhere_is_refused_also_behind_a_link(data: Path, file: str) -> None:
    outside = data.parent / "elsewhere"
    outside.mkdir()
    (outside / "secret.gguf").write_bytes(b"GGUF")
    (data / "models" / "out.gguf").symlink_to(outside / "secret.gguf")
    (data / "models" / "linked").symlink_to(outside)
    with pytest.raises(ConfigurationError, match="not below a folder of models"):
        allowed_file(file, model_folders(data, ()))
    assert [one.name for one in find_files(model_folders(data, ()))] == ["tiny.gguf"]
    assert "tiny.gguf" in str(allowed_file("tiny.gguf", model_folders(data, ())))
    assert allowed_file(str(outside / "secret.gguf"), model_folders(data, (str(outside),))).is_file()


def test_what_is_found_is_described_and_broken_files_say_so(data: Path) -> None:
    (data / "models" / "deep").mkdir()
    (data / "models" / "deep" / "cut.gguf").write_bytes(DEMO_GGUF.read_bytes()[:1000])
    cut, tiny = find_files(model_folders(data, ()))
    assert (cut.name, cut.info) == ("deep/cut.gguf", None)
    assert "truncated" in cut.problem
    assert tiny.info is not None
    assert tiny.info.architecture == "llama"
    assert tiny.size == DEMO_GGUF.stat().st_size


def test_an_engine_starts_stays_over_other_versions_and_ends_with_its_entry(data: Path) -> None:
    room = EngineRoom(data)
    keeper, follower = ConfiguredEngines(room, keeps=True), ConfiguredEngines(room, keeps=False)

    async def run() -> None:
        tasks = [asyncio.create_task(one.run()) for one in (keeper, follower)]
        own, other = keeper.of(of(TINY)), follower.of(of(TINY))
        assert (own["tiny"].base_url, own["tiny"].api_key) == (other["tiny"].base_url, other["tiny"].api_key)
        keeper.put_in_force(own)
        follower.put_in_force(other)
        assert await other["tiny"].wait_ready(60)
        assert own["tiny"].is_ready
        assert oct((own["tiny"].directory).stat().st_mode)[-3:] == "700"
        missing = EngineSettings(id="more", file="not-there.gguf")
        again = keeper.of(of(TINY, missing))
        assert again["tiny"] is own["tiny"], "it goes on running"
        assert again["more"].gave_up
        assert "does not exist" in again["more"].reason
        calls = 1
        keeper.put_in_force(again, {"tiny": lambda: calls})
        keeper.put_in_force(keeper.of(of(missing)))
        await asyncio.sleep(0.1)
        assert own["tiny"].is_ready, "a call is under way"
        calls = 0
        await eventually(lambda: own["tiny"].state == "stopped")
        assert not own["tiny"].directory.exists()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await keeper.close()

    asyncio.run(run())


def test_a_missing_file_and_a_stopped_entry_keep_nothing_else_from_being_served(data: Path) -> None:
    engines = ConfiguredEngines(EngineRoom(data), keeps=True)
    found = engines.of(
        of(EngineSettings(id="gone", file="gone.gguf"), EngineSettings(id="off", file="x", enabled=False))
    )
    assert list(found) == ["gone"]
    assert found["gone"].spec.model_id == "gone"
    shutil.copyfile(DEMO_GGUF, data / "models" / "gone.gguf")
    assert not engines.of(of(EngineSettings(id="gone", file="gone.gguf")))["gone"].problem
