"""What is installed by pip is what is in the repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
BUILT = ("compiled.txt", "compiled.new")  # beside the extensions that they list


@pytest.mark.slow
def test_the_wheel_has_everything_that_the_program_reads_and_nothing_that_was_built() -> None:
    builder = WheelBuilder(str(ROOT))
    with builder.config.set_build_data({"artifacts": [], "force_include": {}, "build_hooks": ()}):
        packed = {file.distribution_path for file in builder.recurse_included_files()}
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in (source / "fairlead").rglob("*")
        if path.is_file() and path.suffix not in (".so", ".pyc") and path.name not in BUILT
    }
    wanted |= {f"fairlead/docs/{path.relative_to(ROOT / 'docs')}" for path in (ROOT / "docs").rglob("*.md")}
    assert wanted - packed == set()
    assert not [name for name in packed if name.endswith((".so", ".pyc"))]
    for kind in (".html", ".gguf", ".toml", ".xz", ".jinja", ".mo", ".css"):
        assert any(name.endswith(kind) for name in packed), kind
