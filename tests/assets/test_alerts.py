"""Who is told when a run fails: a webhook, once, in a plain sentence, without the key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import dagster as dg
import pytest

from assets.alerts import alert_on_run_failure, message
from tests.assets.conftest import KEY
from tests.harness.dagster import DagsterStore


class Webhook:
    """What was posted, and what is answered."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status = 200
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.posted.append(json.loads(body))
                self.send_response(webhook.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/T0/secret-path"


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    webhook = Webhook()
    thread = threading.Thread(target=webhook.server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("RIVO_ALERT_URL", webhook.url)
    yield webhook
    webhook.server.shutdown()
    thread.join()


def log_of(store: DagsterStore, run_id: str) -> str:
    return "\n".join(str(r.event_log_entry) for r in store.instance.get_records_for_run(run_id).records)


def test_a_wrong_key_is_told_in_a_plain_sentence(
    store: DagsterStore, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVO_API_KEY", "another-key-987654")

    result = store.run_job()

    assert not result.success
    [posted] = webhook.posted
    assert posted["text"].startswith("Rivo sync failed: Rivo refused the key (401).")
    [header, section, context] = posted["blocks"]
    assert (header["type"], header["text"]["type"]) == ("header", "plain_text")
    assert section["text"]["text"].startswith("Rivo refused the key (401).")
    assert result.run_id[:8] in context["elements"][0]["text"]
    assert KEY not in json.dumps(posted)
    assert "another-key" not in json.dumps(posted)
    [failure] = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data is not None
    assert str(failure.step_failure_data.user_failure_data.description).startswith(
        "Rivo refused the key (401)."
    )


def test_a_run_that_told_it_itself_is_not_told_again(
    store: DagsterStore, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVO_API_KEY", "another-key-987654")
    result = store.run_job("rivo_raw/vip_tiers")
    assert len(webhook.posted) == 1
    run = store.instance.get_run_by_id(result.run_id)
    assert run

    def sensor(seen: dg.DagsterRun) -> Any:
        context = dg.build_run_status_sensor_context(
            sensor_name="alert_on_run_failure",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=store.instance,
            dagster_run=seen,
        ).for_run_failure()
        return alert_on_run_failure(context)

    assert "told it itself" in sensor(run).skip_message
    assert len(webhook.posted) == 1

    # A run whose process died could not.
    died = store.instance.create_run_for_job(_nothing, tags={})
    sensor(died)
    assert len(webhook.posted) == 2


@dg.job
def _nothing() -> None:
    """A job without steps."""


def test_a_webhook_that_refuses_is_noted_without_its_address(
    store: DagsterStore, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVO_API_KEY", "another-key-987654")
    webhook.status = 500

    result = store.run_job("rivo_raw/vip_tiers")

    log = log_of(store, result.run_id)
    assert "RIVO_ALERT_URL answers 500" in log
    assert "secret-path" not in log


def test_a_run_that_succeeds_tells_nobody(store: DagsterStore, webhook: Webhook) -> None:
    assert store.run_job("rivo_raw/vip_tiers").success
    assert webhook.posted == []


def test_a_long_story_is_cut() -> None:
    posted = message("daily_sync", "0" * 36, "x" * 10_000)

    assert len(json.dumps(posted)) < 8_000
