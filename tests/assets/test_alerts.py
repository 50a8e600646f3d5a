"""Alerts of failed runs: posted once to a webhook, in a plain sentence without the API key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import dagster as dg
import pytest

from assets.alerts import alert_on_run_failure, send, slack_message
from tests.assets.conftest import KEY
from tests.harness.dagster import DagsterStore
from tests.harness.network import proxy


class Webhook:
    """An HTTP server that records what is posted and answers with `status`."""

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


@contextmanager
def served_webhook() -> Iterator[Webhook]:
    """Serve a receiver of alerts inside a `with` block."""
    webhook = Webhook()
    thread = threading.Thread(target=webhook.server.serve_forever, daemon=True)
    thread.start()
    yield webhook
    webhook.server.shutdown()
    thread.join()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with served_webhook() as webhook:
        monkeypatch.setenv("RIVO_ALERT_URL", webhook.url)
        yield webhook


def log_of(store: DagsterStore, run_id: str) -> str:
    return "\n".join(str(r.event_log_entry) for r in store.instance.get_records_for_run(run_id).records)


def test_alert_of_a_refused_key_is_a_plain_sentence(
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


def test_alert_is_not_sent_again_by_the_sensor(
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

    assert "has already sent its alert" in sensor(run).skip_message
    assert len(webhook.posted) == 1

    # A run whose process was killed has not sent an alert.
    killed = store.instance.create_run_for_job(_nothing, tags={})
    sensor(killed)
    assert len(webhook.posted) == 2


@dg.job
def _nothing() -> None:
    """A job without steps."""


def test_failed_alert_is_logged_without_the_url(
    store: DagsterStore, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVO_API_KEY", "another-key-987654")
    webhook.status = 500

    result = store.run_job("rivo_raw/vip_tiers")

    log = log_of(store, result.run_id)
    assert "RIVO_ALERT_URL answered with HTTP status 500" in log
    assert "secret-path" not in log


def test_alert_is_sent_through_the_proxy(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_ALERT_URL", "http://hooks.example/services/T0/secret-path?token=x")
    with proxy(webhook.server.server_port, "corp:s3cret-pw") as between:
        monkeypatch.setenv("http_proxy", f"corp:s3cret-pw@{between.address}")
        assert send("daily_sync", "0" * 36, "No list could be read.") is None
        assert between.lines == ["POST http://hooks.example/services/T0/secret-path?token=x"]
        assert webhook.posted[0]["text"] == "Rivo sync failed: No list could be read."

        monkeypatch.setenv("http_proxy", f"corp:s3cret-other@{between.address}")
        problem = send("daily_sync", "0" * 36, "No list could be read.")
    assert problem
    assert problem.startswith(
        f"The alert could not be sent to RIVO_ALERT_URL: The proxy http://{between.address} (http_proxy, with a user "
        "name) refuses the user name and password (407)."
    )
    assert "s3cret" not in problem
    assert "secret-path" not in problem


def test_alert_reports_an_unusable_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_ALERT_URL", "https://hooks.example/services/T0/secret-path")
    for name, value in (("https_proxy", "socks5://127.0.0.1:9"), ("SSL_CERT_FILE", "/nowhere/ca.pem")):
        monkeypatch.setenv(name, value)
        problem = send("daily_sync", "0" * 36, "No list could be read.")
        assert problem
        assert problem.startswith(f"The alert could not be sent to RIVO_ALERT_URL: {name} names")
        assert "secret-path" not in problem
        monkeypatch.delenv(name)
    monkeypatch.setenv("RIVO_ALERT_URL", "http://127.0.0.1:9/secret-path")
    problem = send("daily_sync", "0" * 36, "No list could be read.")
    assert problem
    assert "refused" in problem
    assert "secret-path" not in problem
    monkeypatch.setenv("RIVO_ALERT_URL", "https://[hooks.example/secret-path")
    problem = send("daily_sync", "0" * 36, "No list could be read.")
    assert problem == "The alert could not be sent: RIVO_ALERT_URL is not a valid URL."


def test_successful_run_sends_no_alert(store: DagsterStore, webhook: Webhook) -> None:
    assert store.run_job("rivo_raw/vip_tiers").success
    assert webhook.posted == []


def test_long_alert_is_cut() -> None:
    posted = slack_message("daily_sync", "0" * 36, "x" * 10_000)

    assert len(json.dumps(posted)) < 8_000
