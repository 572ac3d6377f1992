"""Every file in deploy/ is what its own tool accepts, and says what the guide promises."""

from __future__ import annotations

import base64
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from fairlead.errors import ConfigurationError
from fairlead.settings import File, database_url, load_settings
from fairlead.settings.environment import SEAL_KEY, secret_variable
from fairlead.store.valkey import valkey_address

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("single", "scaled")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
# Of `systemd-analyze security`, from 0 (all is forbidden) to 10.
MOST_EXPOSED = 2.0
PROGRAM = "/opt/fairlead/bin/fairlead"
GUIDE = (ROOT / "docs" / "guides" / "deploy.md").read_text("utf-8")


def run(*command: str | Path, **given: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=100, **given)


def needs(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed; in CI nothing is left out")
        pytest.skip(f"needs {program} (Debian: apt-get install {package})")
    return found


def test_no_file_is_checked_by_nothing() -> None:
    checked = {".service", ".timer", ".sysusers", ".tmpfiles", ".yaml", ".toml", ".sh", ""}
    for path in DEPLOY.rglob("*"):
        if path.is_file() and "secrets" not in path.parts:
            assert path.suffix in checked, path
            assert path.suffix or path.name in ("Containerfile", ".gitignore"), path


def test_no_file_names_a_registry() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file() and "secrets" not in path.parts:
            for image in re.findall(
                r"^\s*(?:image:|FROM|ARG PYTHON_IMAGE=)\s*(\S+)", path.read_text("utf-8"), re.MULTILINE
            ):
                first = image.partition("/")[0]
                assert first == image or not set(first) & set(".:"), path


# --- image


def test_hadolint_accepts_the_containerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = run(hadolint, "--failure-threshold", "style", DEPLOY / "Containerfile")
    assert done.returncode == 0, done.stdout


@cache
def containerfile() -> str:
    return re.sub(r"\\\n\s*", " ", (DEPLOY / "Containerfile").read_text("utf-8"))


def test_the_image_installs_only_what_is_locked_and_runs_without_privileges() -> None:
    installs = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) [^&\n]*", containerfile())
    assert len(installs) == 4
    for one in installs:
        assert "--require-hashes" in one or "--no-index" in one, one
    final = containerfile().split("\nFROM ")[-1]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "HEALTHCHECK" in final
    assert "curl" not in containerfile()
    assert "gcc" not in final
    assert "libgomp1" in final, "the engine does not start without OpenMP"


def test_what_the_wheel_is_made_of_is_in_the_build_context() -> None:
    """.dockerignore leaves everything out but what it names."""
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert all((ROOT / name).exists() for name in kept)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'force-include]\n"docs"' in project
    assert {"src", "docs", "tools/compile", "pyproject.toml", "README.md", "LICENSE"} <= kept
    assert {"requirements.lock", "requirements-build.lock"} <= kept


# --- Compose


@cache
def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))


def test_the_compose_file_is_one_by_the_specification() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text("utf-8")
    assert PyCompose.from_yaml(text).service_names() == ["fairlead", "postgres", "valkey"]
    with pytest.raises(Exception, match="read_onl"):
        PyCompose.from_yaml(text.replace("read_only:", "read_onl:"))


def test_what_services_refer_to_is_declared_and_there() -> None:
    file = compose()
    for service in file["services"].values():
        for kind in ("secrets", "networks"):
            assert set(service.get(kind, ())) <= set(file[kind])
        named = {one.partition(":")[0] for one in service.get("volumes", ())}
        beside = {name for name in named if name.startswith("./")}
        assert all((DEPLOY / "compose" / name).is_dir() for name in beside)
        assert named - beside <= set(file["volumes"])
        assert set(service.get("depends_on", {})) <= set(file["services"])
        assert service["healthcheck"]["test"]
        assert service["cap_drop"] == ["ALL"]
    build = file["services"]["fairlead"]["build"]
    context = (DEPLOY / "compose" / build["context"]).resolve()
    assert (context, (context / build["dockerfile"]).is_file()) == (ROOT, True)
    assert file["services"]["fairlead"]["read_only"] is True
    assert file["networks"]["back"]["internal"] is True


def test_the_secrets_are_made_once_and_agree(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "compose" / "secrets.sh", tmp_path)
    run("sh", tmp_path / "secrets.sh", check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == {Path(one["file"]).name for one in compose()["secrets"].values()}
    assert made["database_url"] == f"postgresql://fairlead:{made['postgres_password']}@postgres/fairlead\n"
    assert re.fullmatch(r"[A-Za-z0-9]{30,}", made["postgres_password"])
    assert len(base64.b64decode(made["seal_key"])) == 32
    address = valkey_address(made["valkey_url"].strip())
    assert (address.host, address.port, len(address.password) > 30) == ("valkey", 6379, True)
    assert made["valkey.conf"].startswith(f"requirepass {address.password}\n")
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    run("sh", tmp_path / "secrets.sh", check=True)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made


def test_secrets_may_be_in_files(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("postgresql://fairlead@db/fairlead\n")
    environment = {"FAIRLEAD_DATABASE_URL_FILE": str(path)}
    settings = load_settings(None, {})
    assert database_url(settings, environment) == "postgresql://fairlead@db/fairlead"
    with pytest.raises(ConfigurationError, match="not both"):
        database_url(settings, environment | {"FAIRLEAD_DATABASE_URL": "postgresql://x"})
    path.write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        database_url(settings, environment)
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        secret_variable(SEAL_KEY, {"FAIRLEAD_SEAL_KEY_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.toml")), ids=lambda path: path.parent.name)
def test_each_configuration_is_one(path: Path) -> None:
    assert isinstance(load_settings(path, {}), File)


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.name)
def test_each_script_is_one(path: Path) -> None:
    assert run("sh", "-n", path).returncode == 0
    assert os.access(path, os.X_OK)


# --- Kubernetes


def documents(text: str) -> list[Any]:
    return [one for one in yaml.safe_load_all(text) if one]


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_what_a_kustomization_names_is_there_and_nothing_else(folder: str) -> None:
    directory = KUBERNETES / folder
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text("utf-8"))
    named = list(kustomization["resources"])
    named += [patch["path"] for patch in kustomization.get("patches", ())]
    named += [name for one in kustomization.get("configMapGenerator", ()) for name in one["files"]]
    assert all((directory / name).exists() for name in named)
    assert {path.name for path in directory.iterdir()} - set(named) == {"kustomization.yaml"}
    for patch in kustomization.get("patches", ()):
        target = yaml.safe_load((directory / patch["path"]).read_text("utf-8"))
        of_base = [yaml.safe_load(path.read_text("utf-8")) for path in (KUBERNETES / "base").glob("*.yaml")]
        known = {(one["kind"], one["metadata"]["name"]) for one in of_base if one["kind"] != "Kustomization"}
        assert (target["kind"], target["metadata"]["name"]) in known


@cache
def rendered(overlay: str) -> str:
    kubectl = needs("kubectl", "kubernetes-client")
    done = run(kubectl, "kustomize", KUBERNETES / overlay)
    if done.returncode and "unknown field" in done.stderr:
        pytest.skip("kubectl's kustomize is older than 4.1, which has `labels`")
    assert done.returncode == 0, done.stderr
    return done.stdout


def pods(overlay: str) -> Iterator[Any]:
    for one in documents(rendered(overlay)):
        if one["kind"] in ("StatefulSet", "Deployment"):
            yield one["spec"]["template"]["spec"]


def test_each_manifest_is_valid() -> None:
    """Also without kustomize; a patch is a piece of a manifest (`test_each_overlay_is_valid`)."""
    found = [
        path
        for path in KUBERNETES.rglob("*.yaml")
        if path.name != "kustomization.yaml" and path != KUBERNETES / "scaled" / "stateful-set.yaml"
    ]
    done = run(Path(sys.executable).with_name("kubernetes-validate"), "--strict", "--quiet", *found)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay_is_valid(overlay: str, tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(rendered(overlay))
    done = run(Path(sys.executable).with_name("kubernetes-validate"), "--strict", "--quiet", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_meet_the_restricted_standard(overlay: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    for pod in pods(overlay):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            mounted = {one["name"] for one in container["volumeMounts"]}
            volumes = {one["name"] for one in pod["volumes"]}
            if container["name"] == "fairlead":
                assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
                assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
                assert mounted == volumes | {"data"}
            else:
                assert container["readinessProbe"]["tcpSocket"] == container["livenessProbe"]["tcpSocket"]
                assert mounted == volumes


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_find_the_pods(overlay: str) -> None:
    found = documents(rendered(overlay))
    [workload] = [one for one in found if one["kind"] == "StatefulSet"]
    templates = {one["metadata"]["name"]: one["spec"]["template"] for one in found if "template" in one.get("spec", {})}
    for one in found:
        spec = one.get("spec", {})
        # Each part of Valkey is named so; it finds Valkey's pods, and no other.
        chosen = "fairlead-valkey" if one["metadata"]["name"] == "fairlead-valkey" else "fairlead"
        selector = spec.get("podSelector") or spec.get("selector")
        if selector is not None:
            wanted = selector if one["kind"] == "Service" else selector["matchLabels"]
            found_by_it = [
                name for name, template in templates.items() if wanted.items() <= template["metadata"]["labels"].items()
            ]
            assert found_by_it == [chosen], one["kind"]
        if one["kind"] == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] == workload["metadata"]["name"]
    [config] = [one["metadata"]["name"] for one in found if one["kind"] == "ConfigMap"]
    volumes = workload["spec"]["template"]["spec"]["volumes"]
    assert config in [one["configMap"]["name"] for one in volumes if "configMap" in one]


# --- systemd


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit_and_finds_it_confined(unit: Path, tmp_path: Path) -> None:
    analyze = needs("systemd-analyze", "systemd")
    text = unit.read_text("utf-8")
    assert PROGRAM in text
    # `verify` looks whether programs are there.
    for path in (DEPLOY / "systemd").glob("fairlead*.[st]*"):
        (tmp_path / path.name).write_text(path.read_text("utf-8").replace(PROGRAM, "/bin/true"))
    done = run(analyze, "verify", "--man=no", tmp_path / unit.name)
    assert (done.returncode, done.stderr) == (0, "")
    done = run(analyze, "security", "--offline=true", f"--threshold={int(MOST_EXPOSED * 10)}", unit)
    assert done.returncode == 0, done.stdout
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= MOST_EXPOSED


def test_the_timer_starts_a_service_that_is_there() -> None:
    needs("systemd-analyze", "systemd")
    timer = DEPLOY / "systemd" / "fairlead-backup.timer"
    assert timer.with_suffix(".service") in UNITS
    [when] = re.findall(r"^OnCalendar=(.*)$", timer.read_text("utf-8"), re.MULTILINE)
    assert run("systemd-analyze", "calendar", when).returncode == 0


@pytest.mark.parametrize(("kind", "program"), [("sysusers", "systemd-sysusers"), ("tmpfiles", "systemd-tmpfiles")])
def test_users_and_directories_are_made(kind: str, program: str, tmp_path: Path) -> None:
    command = [needs(program, "systemd"), f"--root={tmp_path}"]
    if kind == "sysusers":
        (tmp_path / "usr" / "lib" / "sysusers.d").mkdir(parents=True)
        shutil.copy(DEPLOY / "systemd" / "fairlead.sysusers", tmp_path / "usr" / "lib" / "sysusers.d" / "fairlead.conf")
        (tmp_path / "etc").mkdir()
        run(*command, check=True)
        assert re.search(r"^fairlead:", (tmp_path / "etc" / "passwd").read_text("utf-8"), re.MULTILINE)
        return
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).write_text(f"root:x:0:0::/:\nfairlead:x:{os.getuid()}:{os.getgid()}::/:\n")
    run(*command, "--create", DEPLOY / "systemd" / "fairlead.tmpfiles")
    assert stat.S_IMODE((tmp_path / "var" / "backups" / "fairlead").stat().st_mode) == 0o700


def test_units_use_commands_and_options_that_exist() -> None:
    import click

    from fairlead.cli.main import cli

    for unit in UNITS:
        [line] = re.findall(rf"^ExecStart={PROGRAM} (.*)$", unit.read_text("utf-8"), re.MULTILINE)
        command: Any = cli
        words = line.split()
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        command.make_context("fairlead", words)


def test_the_guide_names_every_directory() -> None:
    for name in (
        "deploy/compose",
        "deploy/kubernetes/single",
        "deploy/kubernetes/scaled",
        "deploy/systemd",
        "deploy/Containerfile",
    ):
        assert name in GUIDE
