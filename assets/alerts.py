"""Telling a person that a run failed: Slack-shaped JSON to RIVO_ALERT_URL."""

from __future__ import annotations

import json

import dagster as dg
import urllib3

from pipelines.settings import Settings

_ALERTED = "rivo/alerted"
_TIMEOUT = urllib3.Timeout(connect=5, read=10)
_LONGEST = 2_500
"""Slack shows three thousand characters of a section."""


@dg.failure_hook(name="alert_on_failure")
def alert_on_failure(context: dg.HookContext) -> None:
    """Runs in the process of the failed run, so that it works without a daemon (`make sync`, cron)."""
    error = context.op_exception
    sentence = (error.description or "") if isinstance(error, dg.Failure) else ""
    if not sentence:
        sentence = (
            f"This should not have happened: {type(error).__name__}. The run's log has the whole story."
        )
    said = send(context.job_name, context.run_id, sentence)
    if said:
        context.log.warning(said)
    # So that the sensor, which also sees runs whose process died, does not tell it again.
    context.instance.add_run_tags(context.run_id, {_ALERTED: "true"})


@dg.run_failure_sensor(
    name="alert_on_run_failure",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Posts to RIVO_ALERT_URL what a run could not tell itself: killed, out of memory, never started.",
    minimum_interval_seconds=60,
)
def alert_on_run_failure(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Posts for runs that failed without their hook."""
    run = context.instance.get_run_by_id(context.dagster_run.run_id) or context.dagster_run
    if Settings.load().alert_url is None:
        return dg.SkipReason("RIVO_ALERT_URL is not set.")
    if _ALERTED in run.tags:
        return dg.SkipReason("The run told it itself.")
    said = send(
        run.job_name, run.run_id, context.failure_event.message or "The run ended before it was done."
    )
    if said:
        context.log.warning(said)
    return None


def send(job: str, run_id: str, sentence: str) -> str | None:
    """Post one message; do nothing where RIVO_ALERT_URL is not set. An alert never fails a run.

    Returns:
        why it could not be sent, in a sentence that does not show the address, which is a secret.
    """
    url = Settings.load().alert_url
    if url is None:
        return None
    try:
        answer = urllib3.PoolManager(retries=False, timeout=_TIMEOUT).request(
            "POST",
            url.get_secret_value(),
            body=json.dumps(message(job, run_id, sentence)),
            headers={"Content-Type": "application/json"},
        )
    except urllib3.exceptions.HTTPError as error:
        return f"The alert could not be sent to RIVO_ALERT_URL ({type(error).__name__})."
    if answer.status >= 300:
        return f"The alert could not be sent: RIVO_ALERT_URL answers {answer.status}."
    return None


def message(job: str, run_id: str, sentence: str) -> dict[str, object]:
    """The message in Slack's form: `text` for notifications, `blocks` for the channel."""
    if len(sentence) > _LONGEST:
        sentence = sentence[: _LONGEST - 1] + "…"
    title = "Rivo sync failed" if job == "daily_sync" else f"Rivo: {job} failed"
    where = f"Run {run_id[:8]} in the Dagster UI (`make dev`)"
    return {
        "text": f"{title}: {sentence}",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title}},
            {"type": "section", "text": {"type": "plain_text", "text": sentence}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": where}]},
        ],
    }
