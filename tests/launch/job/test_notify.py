"""Who wants to hear of a job's end hears of it; and whatever goes wrong there does not harm the job."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from launch.job import notify
from launch.job.notify import Notification, tell
from launch.site.profile import ClusterProfile, Notify

FAILED = Notification(
    kind="failed", name="my run", run="/runs/a b", job="12", step=300, reason='it said "no"\x1b[2J; twice'
)


class Receiver(HTTPServer):
    """A chat's webhook."""

    got: list[tuple[str, dict[str, Any]]]
    answer = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook/secret"


class Handler(BaseHTTPRequestHandler):
    server: Receiver  # type: ignore[assignment]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(("127.0.0.1", 0), Handler) as server:
        server.got = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def profile(**settings: Any) -> ClusterProfile:
    return ClusterProfile(notify=Notify(**settings))


def test_a_webhook_gets_the_facts_and_a_text_that_a_chat_can_show(receiver: Receiver) -> None:
    tell(profile(webhook=receiver.url), FAILED)
    ((kind, told),) = receiver.got
    assert kind == "application/json"
    assert {key: told[key] for key in ("kind", "name", "run", "job", "step")} == {
        "kind": "failed", "name": "my run", "run": "/runs/a b", "job": "12", "step": 300,
    }  # fmt: skip
    assert told["text"] == FAILED.text
    assert "my run (job 12) failed" in told["text"]
    assert "\x1b" not in told["text"], "what a program printed steers no terminal"
    assert "\n" not in told["text"]


def test_the_text_names_the_jobs_kind_since_a_folder_has_several() -> None:
    train, merge = (replace(FAILED, job_kind=kind, step=0) for kind in ("train", "pack-merge"))
    assert train.text.endswith("; train of /runs/a b")
    assert merge.text.endswith("; pack-merge of /runs/a b")
    assert "saved" not in merge.text, "nothing is"
    assert merge.as_variables()["AVSYNC_JOB_KIND"] == "pack-merge"


def test_a_command_gets_them_on_its_input_and_as_variables(tmp_path: Path) -> None:
    out = tmp_path / "out"
    tell(profile(command=f'cat > {out}; printf "%s|%s" "$AVSYNC_RUN" "$AVSYNC_REASON" >> {out}'), FAILED)
    told, _, variables = out.read_text().rpartition("}")
    assert json.loads(told + "}")["reason"] == FAILED.reason
    assert variables == f"{FAILED.run}|{FAILED.reason}"


def test_only_what_the_profile_names_is_told(receiver: Receiver) -> None:
    tell(profile(webhook=receiver.url, on=("done",)), FAILED)
    assert not receiver.got


@pytest.mark.parametrize("answer", [404, 500])
def test_a_webhook_that_says_no_is_a_line_in_the_log_without_its_address(
    receiver: Receiver, answer: int, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answer = answer
    tell(profile(webhook=receiver.url), FAILED)
    said = capsys.readouterr().err
    assert f"HTTP {answer}" in said
    assert "secret" not in said


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/secret", "no url secret", "http://[secret", "file:///secret"])
def test_a_webhook_that_is_not_there_harms_nothing(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell(profile(webhook=url), FAILED)
    said = capsys.readouterr().err
    assert said.startswith("avsync: warning: nobody was told by webhook: ")
    assert said.count("\n") == 1
    assert "secret" not in said


def test_a_command_that_fails_is_a_line_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    tell(profile(command="exit 3"), FAILED)
    assert "nobody was told by command: exit code 3" in capfd.readouterr().err


def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notify, "COMMAND_S", 0.3)
    child = tmp_path / "child"
    tell(profile(command=f"(echo $$ > {child}; sleep 60) & wait"), FAILED)
    assert "nobody was told by command: no end after" in capfd.readouterr().err
    group = int(child.read_text())
    ends = time.monotonic() + 10  # SIGKILL takes a moment
    while members := [path for path in Path("/proc").glob("[0-9]*/stat") if _group(path) == group]:
        assert time.monotonic() < ends, members


def test_one_that_fails_does_not_keep_the_other_from_being_told(tmp_path: Path) -> None:
    out = tmp_path / "out"
    tell(profile(webhook="http://127.0.0.1:9/", command=f"cat > {out}"), FAILED)
    assert json.loads(out.read_text())["job"] == "12"


def _group(stat: Path) -> int:
    """Process group of a process that is alive."""
    try:
        words = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if words[0] == "Z" else int(words[2])
