"""Processes follow the configuration: versions of the database, a file that is changed in any way, SIGHUP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import pty
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Held, Served, eventually, fairlead, serving
from tests.e2e.fork_server import environment_of

from fairlead.admin.audit import Actor
from fairlead.admin.configuration import Current, Submission, apply
from fairlead.admin.configuration import status as find_status
from fairlead.compose.following import Following, Origin, Watched
from fairlead.settings import Settings
from fairlead.store import Store, open_store
from fairlead.store.configuration import ProcessState
from fairlead.testing import ScriptedUpstream

SECRET = "sk-up-s3cr3t-0123456789"


def configuration(url: str, price: str, more: str = "") -> str:
    """Model `m`; an answer of one token costs `price` micro-dollars."""
    return (
        f'[routing]\nprobes = false\n[[providers]]\nid = "p"\nbase_url = "{url}"\napi_key = "{SECRET}"\n'
        '[[models]]\nid = "m"\n[[models.deployments]]\nprovider = "p"\nupstream_model = "x"\n'
        f'price = {{ input = "0", output = "{price}" }}\n{more}'
    )


@pytest.fixture(autouse=True)
def _seal_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in documents are sealed, and all nodes with one database need the same key for that."""
    monkeypatch.setenv("FAIRLEAD_SEAL_KEY", base64.b64encode(bytes(32)).decode())


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as found:
        yield found


def ask(served: Served, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """On a connection of its own, so that any worker may answer."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    with contextlib.closing(connection):
        sent = None if body is None else json.dumps(body).encode()
        connection.request(method, path, sent, {"Authorization": f"Bearer {served.key}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def ready(served: Served) -> Any:
    return ask(served, "GET", "/readyz")[1]


def price(served: Served) -> float:
    """Micro-dollars for a token of an answer."""
    status, answer = ask(
        served, "POST", "/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    )
    assert status == 200, answer
    usage = answer["usage"]
    return round(float(usage["cost_usd"]) * 1e6 / usage["completion_tokens"], 6)


def config(served: Served, *arguments: str) -> Any:
    return fairlead("config", *arguments, data=served.data, database=served.database)


def status(served: Served) -> Any:
    return json.loads(config(served, "status", "--json").stdout)


def running(served: Served) -> list[tuple[str, int]]:
    return [(one["source"], one["version"]) for one in status(served)["processes"]]


def written(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(text)
    return str(file)


def changed(served: Served, text: str) -> Path:
    """The file of the server, changed in place."""
    file = served.data.parent / "fairlead.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("workers", [1, 3])
def test_a_version_is_in_force_in_every_process_and_each_reports_it(
    tmp_path: Path, upstream: ScriptedUpstream, database_url: str | None, workers: int
) -> None:
    with serving(tmp_path, configuration(upstream.url, "1"), workers=workers, database=database_url) as served:
        assert price(served) == 1
        eventually(lambda: running(served) == [("file", 0)] * workers)
        file = written(tmp_path, "next.toml", configuration(upstream.url, "2"))
        began = time.monotonic()
        done = config(served, "apply", file, "--yes", "--comment", "cheaper")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{workers} of {workers} processes use it." in done.stdout
        assert running(served) == [("database", 1)] * workers
        assert time.monotonic() - began < 60  # two seconds on a machine that has nothing else to do
        assert {price(served) for _ in range(10)} == {2}
        shown = ready(served)["configuration"]
        assert (shown["source"], shown["version"], shown["digest"]) == (
            "database",
            1,
            status(served)["current"]["digest"],
        )
        assert config(served, "rollback", "0", "--yes").returncode == 0
        eventually(lambda: running(served) == [("file", 0)] * workers)
        assert {price(served) for _ in range(10)} == {1}
        assert SECRET not in served.output
    assert fairlead("config", "status", data=served.data, database=database_url).stdout.endswith(
        "No process is running.\n"
    )


def test_a_version_that_a_process_cannot_take_is_refused_there_with_the_reason(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    with serving(tmp_path, configuration(upstream.url, "1")) as served:
        text = configuration(upstream.url, "2").replace(f'"{SECRET}"', '{ env = "NOT_SET_IN_THE_SERVER" }')
        file = written(tmp_path, "next.toml", text)
        assert "Not set here: NOT_SET_IN_THE_SERVER" in config(served, "plan", file).stdout
        done = config(served, "apply", file, "--yes")
        assert done.returncode == 1
        assert "version 1:6: The environment variable NOT_SET_IN_THE_SERVER is not set" in done.stderr
        assert price(served) == 1
        assert "NOT_SET_IN_THE_SERVER" in str(ready(served)["warnings"])
        assert config(served, "status").returncode == 1
        assert config(served, "rollback", "0", "--yes").returncode == 0
        eventually(lambda: ready(served)["warnings"] == [])


def test_a_start_uses_the_newest_version_and_not_the_file(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with serving(tmp_path, configuration(upstream.url, "1")) as served:
        file = written(tmp_path, "next.toml", configuration(upstream.url, "2"))
        assert config(served, "apply", file, "--yes").returncode == 0
    with serving(tmp_path, configuration(upstream.url, "3")) as served:
        served.key = fairlead("keys", "create", "--name", "k", data=served.data).stdout.split()[-1]
        assert price(served) == 2
        assert "Version 1 of the configuration is in force, from the database." in served.output
        eventually(lambda: running(served) == [("database", 1)])


def test_a_file_becomes_the_first_version_where_it_says_so(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    text = '[configuration]\nstore = "database"\n' + configuration(upstream.url, "1")
    with serving(tmp_path, text, workers=2) as served:
        assert price(served) == 1
        eventually(lambda: running(served) == [("database", 1)] * 2)
        (only,) = json.loads(config(served, "history", "--json").stdout)
        assert only["author"] == "file"
    with serving(tmp_path, text) as served:
        assert len(json.loads(config(served, "history", "--json").stdout)) == 1


@pytest.mark.parametrize("way", ["in place", "renamed over it", "by a link on its path"])
def test_a_changed_file_is_taken_by_all_workers(tmp_path: Path, upstream: ScriptedUpstream, way: str) -> None:
    file = tmp_path / "fairlead.toml"
    if way == "by a link on its path":  # as Kubernetes mounts a ConfigMap
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        (tmp_path / "one" / "fairlead.toml").write_text("")
        (tmp_path / "..data").symlink_to("one")
        file.symlink_to("..data/fairlead.toml")
    with serving(tmp_path, configuration(upstream.url, "1"), workers=2) as served:
        assert price(served) == 1
        text = configuration(upstream.url, "2")
        if way == "in place":
            file.write_text(text)
        elif way == "renamed over it":
            (tmp_path / "new").write_text(text)
            (tmp_path / "new").rename(file)
        else:
            (tmp_path / "two" / "fairlead.toml").write_text(text)
            (tmp_path / "..new").symlink_to("two")
            (tmp_path / "..new").rename(tmp_path / "..data")
        eventually(lambda: {price(served) for _ in range(8)} == {2})
        eventually(lambda: running(served) == [("file", 0)] * 2)
        assert served.output.count(f"The configuration of {file} is in force") == 2

        def audited() -> Any:
            command = ("audit", "list", "--json", "--action", "configuration.")
            return json.loads(fairlead(*command, data=served.data).stdout)

        eventually(audited)
        (row,) = audited()
        assert (row["action"], row["actor_kind"], row["actor"]) == ("configuration.file", "file", str(file))
        assert row["after"]["digest"] == status(served)["current"]["digest"] != row["before"]["digest"]


def test_a_file_that_is_being_written_is_not_read_half(tmp_path: Path) -> None:
    """It counts as changed when two looks in a row see the same."""
    file = tmp_path / "f.toml"
    file.write_text("[server]\n")
    watched = Watched(file)
    assert [watched.changed(at_once=False) for _ in range(3)] == [False, True, False]
    with file.open("a") as open_file:
        for _ in range(3):
            open_file.write("# one more line\n")
            open_file.flush()
            assert not watched.changed(at_once=False)
    assert [watched.changed(at_once=False) for _ in range(2)] == [True, False]
    file.unlink()
    assert [watched.changed(at_once=False) for _ in range(3)] == [False, True, False]
    file.write_text("[server]\n")
    assert watched.changed(at_once=True), "SIGHUP does not wait"


def test_a_bad_file_is_refused_with_line_and_reason_while_the_old_one_goes_on(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    with serving(tmp_path, configuration(upstream.url, "1"), workers=2) as served:
        file = changed(served, configuration(upstream.url, "2").replace('provider = "p"', 'provider = "q"'))
        said = f"{file}:10: there is no provider 'q'"
        eventually(lambda: said in str(ready(served)["warnings"]))
        eventually(lambda: served.output.count(said) == 2)
        refused = f"refused a newer configuration: {said}"
        eventually(lambda: config(served, "status").stdout.count(refused) == 2)
        assert config(served, "status").returncode == 1
        assert {price(served) for _ in range(8)} == {1}
        assert "fairlead_configuration_refused{" in metrics(served)
        # What is compared with is what is in force, and not the file.
        good = written(tmp_path, "next.toml", configuration(upstream.url, "3"))
        assert "output 1.00 -> 3.00" in config(served, "plan", good).stdout
        changed(served, configuration(upstream.url, "1"))
        eventually(lambda: not [one for one in status(served)["processes"] if one["error"]])
        file.unlink()
        eventually(lambda: f"{file} does not exist" in str(ready(served)["warnings"]))
        assert price(served) == 1
        changed(served, configuration(upstream.url, "3"))
        eventually(lambda: {price(served) for _ in range(8)} == {3})


def metrics(served: Served) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


def test_a_worker_that_is_started_again_runs_what_the_others_run(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """The file was changed twice: to another good one, and to a bad one."""
    with serving(tmp_path, configuration(upstream.url, "1"), workers=2) as served:
        changed(served, configuration(upstream.url, "2"))
        eventually(lambda: {price(served) for _ in range(8)} == {2})
        changed(served, "[server\n")
        eventually(lambda: served.output.count("is not valid TOML") == 2)
        eventually(lambda: len(running(served)) == 2)
        victim = status(served)["processes"][0]["pid"]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: served.output.count("What is in force cannot be used here, an earlier one is") == 1)
        eventually(lambda: {price(served) for _ in range(8)} == {2})
        # And of versions that it cannot take, the newest that it can.
        bad = configuration(upstream.url, "3").replace(f'"{SECRET}"', '{ env = "NOT_SET_IN_THE_SERVER" }')
        assert (
            config(served, "apply", written(tmp_path, "4", configuration(upstream.url, "4")), "--yes").returncode == 0
        )
        assert config(served, "apply", written(tmp_path, "bad", bad), "--yes").returncode == 1
        victim = next(one["pid"] for one in status(served)["processes"] if one["pid"] != victim)
        os.kill(victim, signal.SIGKILL)

        def again() -> bool:
            living = [one for one in status(served)["processes"] if Path(f"/proc/{one['pid']}").exists()]
            return len({one["pid"] for one in living}) == 2 and all(one["error"] for one in living)

        eventually(again)
        assert {price(served) for _ in range(8)} == {4}


def test_a_file_that_is_changed_while_the_database_is_in_force_is_told(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    with serving(tmp_path, configuration(upstream.url, "1")) as served:
        two = configuration(upstream.url, "2")
        assert config(served, "apply", written(tmp_path, "next.toml", two), "--yes").returncode == 0
        file = changed(served, configuration(upstream.url, "3"))
        said = f"{file} was changed, and version 1 of the database stays in force"
        eventually(lambda: said in str(ready(served)["warnings"]))
        eventually(lambda: said in config(served, "status").stdout)
        assert said in served.output
        assert price(served) == 2
        assert config(served, "apply", str(file), "--yes").returncode == 0
        eventually(lambda: ready(served)["warnings"] == [])
        assert price(served) == 3


def test_sighup_reads_everything_again(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """The file is the same, and a model file beside it is not."""
    own = tmp_path / "models"
    own.mkdir()
    text = f'[catalogue]\ndirectory = "{own}"\n' + configuration(upstream.url, "1")
    with serving(tmp_path, text, workers=2) as served:
        ready(served)
        before = served.output.count("is in force")
        served.process.send_signal(signal.SIGHUP)
        eventually(lambda: served.output.count("is in force") == before + 2)
        own.rmdir()
        served.process.send_signal(signal.SIGHUP)
        eventually(lambda: served.output.count("is not a directory") == 2)
        assert price(served) == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_ends_when_its_terminal_is_closed(tmp_path: Path, workers: str) -> None:
    """SIGHUP means that, too."""
    command = [sys.executable, "-m", "fairlead", "serve", "--no-engine", "--port", "0", "--data", str(tmp_path / "d")]
    pid, terminal = pty.fork()
    if not pid:
        os.execve(sys.executable, [*command, "--workers", workers], environment_of())
    output = b""
    while b"How:" not in output or not output.endswith(b"\n"):
        output += os.read(terminal, 65_536)
    os.close(terminal)
    ended: list[int] = []

    def has_ended() -> bool:
        found, code = os.waitpid(pid, os.WNOHANG)
        ended.append(code)
        return found == pid

    eventually(has_ended)
    assert os.waitstatus_to_exitcode(ended[-1]) == 0


def test_what_needs_a_restart_is_told_by_plan_and_status(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with serving(tmp_path, configuration(upstream.url, "1")) as served:
        text = "[server]\nmax_body_bytes = 2048\n" + configuration(upstream.url, "2")
        file = written(tmp_path, "next.toml", text)
        assert "[server] max_body_bytes: 33554432 -> 2048: needs a restart" in config(served, "plan", file).stdout
        assert config(served, "apply", file, "--yes").returncode == 0
        assert "needs a restart for [server] max_body_bytes." in config(served, "status").stdout
        assert price(served) == 2
    with serving(tmp_path, configuration(upstream.url, "1")) as served:
        assert "restart" not in config(served, "status").stdout.replace("restart]", "")


def test_a_plan_counts_the_calls_under_way(tmp_path: Path) -> None:
    with Held() as upstream, serving(tmp_path, configuration(upstream.url, "1")) as served:
        upstream.held = True
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        with contextlib.closing(connection):
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}).encode()
            connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {served.key}"})
            other = written(tmp_path, "next.toml", '[[providers]]\nid = "q"\nbase_url = "http://q/v1"\n')
            eventually(lambda: "p is drained: 1 call is under way" in config(served, "plan", other).stdout)
            assert config(served, "apply", other, "--yes").returncode == 0
            upstream.held = False
            assert connection.getresponse().status == 200


def test_machines_that_share_a_database_follow_it_together(
    tmp_path: Path, upstream: ScriptedUpstream, new_database: Callable[..., str]
) -> None:
    """Each has a data directory and a file of its own."""
    database = new_database()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with (
        serving(tmp_path / "a", configuration(upstream.url, "1"), workers=2, database=database) as one,
        serving(tmp_path / "b", configuration(upstream.url, "5"), database=database) as other,
    ):
        other.key = one.key
        assert (price(one), price(other)) == (1, 5)
        eventually(lambda: len(running(one)) == 3)
        file = written(tmp_path, "next.toml", configuration(upstream.url, "2"))
        assert "3 of 3 processes use it." in config(one, "apply", file, "--yes").stdout
        assert running(other) == [("database", 1)] * 3
        assert (price(one), price(other)) == (2, 2)
        assert config(other, "rollback", "0", "--yes").returncode == 0
        assert (price(one), price(other)) == (1, 5)


async def broken(_settings: Settings) -> None:
    raise RuntimeError("a mistake of ours")


def test_an_unexpected_error_is_shown_and_not_repeated_for_ever(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test() -> None:
        store = open_store(tmp_path / "data")
        origin = Origin(Current("none", 0, "", "no file", ""))
        following = Following(store, Settings(), origin, broken, dict, name="p", place=0)
        apply(store, configuration(upstream.url, "1"), "f.toml", Submission(Actor("command line", "test")))
        with pytest.raises(RuntimeError, match="a mistake of ours"):
            await following.run()
        assert following.warnings()
        assert "an unexpected error" in following.error
        task = asyncio.create_task(following.run())  # as `BackgroundTasks` does
        while not any(one.error for one in find_status(store).behind):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        (process,) = find_status(store).processes
        assert (process.answered, process.version, process.error) == (1, 0, following.error)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await following.close()
        assert find_status(store).processes == []
        store.close()

    asyncio.run(asyncio.wait_for(test(), 60))


@pytest.mark.slow
def test_workers_that_are_killed_in_the_middle_of_an_apply_come_back_with_the_newest_version(
    tmp_path: Path, upstream: ScriptedUpstream, database_url: str | None
) -> None:
    """At moments before, while and after a worker takes the version. No process runs anything but a whole version, and
    the books are right."""
    with serving(tmp_path, configuration(upstream.url, "1"), workers=2, database=database_url) as served:
        eventually(lambda: running(served) == [("file", 0)] * 2)
        store = open_store(tmp_path / "operator" if database_url else served.data, database_url)
        for number in range(1, 7):
            pids = [one.pid for one in current_processes(store)]
            text = configuration(upstream.url, str(number + 1))
            apply(store, text, "next.toml", Submission(Actor("command line", "test")))
            time.sleep(0.06 * (number - 1))
            os.kill(pids[number % 2], signal.SIGKILL)

            def all_follow(number: int = number, killed: int = pids[number % 2]) -> bool:
                found = [one for one in current_processes(store) if one.pid != killed]
                return len(found) == 2 and all((one.version, one.error) == (number, "") for one in found)

            eventually(all_follow)
            assert price(served) == number + 1
        store.close()
        assert config(served, "history").returncode == 0
    done = fairlead("verify", data=served.data, database=database_url)
    assert done.returncode == 0, done.stdout + done.stderr


def current_processes(store: Store) -> list[ProcessState]:
    """Without those that were killed before: they are not heard of again, and are shown for 20 seconds."""
    newest: dict[int, ProcessState] = {}
    for one in list_running(store):
        if one.place not in newest or newest[one.place].started_at < one.started_at:
            newest[one.place] = one
    return [newest[place] for place in sorted(newest)]


def list_running(store: Store) -> list[ProcessState]:
    return find_status(store).processes
