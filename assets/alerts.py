"""Alerts: failed runs are posted to RIVO_ALERT_URL as a Slack message."""

from __future__ import annotations

import json

import dagster as dg
import urllib3
from pydantic import SecretStr

from assets.instance.private import add_run_tags
from assets.shops import names_of_several, shop_of
from pipelines.errors import RivoError
from pipelines.network import Connection, ConnectionFailure
from pipelines.settings import Settings

_ALERTED = "rivo/alerted"
"""Tag of runs whose failure has been posted."""
_TIMEOUT = urllib3.Timeout(connect=5, read=10)
_LONGEST = 2_500
"""Most characters of a message. Slack's own limit for a section is 3,000."""


@dg.failure_hook(name="alert_on_failure")
def alert_on_failure(context: dg.HookContext) -> None:
    """Post the failure of a run. Runs in the process of that run, so it needs no Dagster daemon (`make sync`, cron)."""
    error = context.op_exception
    sentence = (error.description or "") if isinstance(error, dg.Failure) else ""
    if not sentence:
        sentence = f"Unexpected error: {type(error).__name__}. See the traceback in the run's log."
    run = context.instance.get_run_by_id(context.run_id)
    if problem := send(context.job_name, context.run_id, sentence, shop_of(run) if run else ""):
        context.log.warning(problem)
    # So that the sensor below does not post the same failure again.
    add_run_tags(context.instance, context.run_id, {_ALERTED: "true"})


@dg.run_failure_sensor(
    name="alert_on_run_failure",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Posts to RIVO_ALERT_URL when a run failed without sending its own alert: it was killed, ran out of "
    "memory, or never started.",
    minimum_interval_seconds=60,
)
def alert_on_run_failure(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Post the failure of a run whose own hook did not post it."""
    run = context.instance.get_run_by_id(context.dagster_run.run_id) or context.dagster_run
    if _alert_url(shop_of(run)) is None:
        return dg.SkipReason("RIVO_ALERT_URL is not set.")
    if _ALERTED in run.tags:
        return dg.SkipReason("The run has already sent its alert.")
    message = context.failure_event.message or "The run ended before it was complete."
    if problem := send(run.job_name, run.run_id, message, shop_of(run)):
        context.log.warning(problem)
    return None


def send(job: str, run_id: str, sentence: str, shop: str = "") -> str | None:
    """Post one message, or do nothing if RIVO_ALERT_URL is not set. An alert that fails does not fail the run.

    Args:
        job: name of the job that failed.
        run_id: id of its run.
        sentence: why it failed.
        shop: the shop of the run, if there are several: the message names it, and its own URL is used.

    Returns:
        None, or the reason why it could not be sent. The reason does not contain the URL, which is a secret.
    """
    url = _alert_url(shop)
    if url is None:
        return None
    try:
        response = Connection(url.get_secret_value()).send(
            "POST",
            body=json.dumps(slack_message(job, run_id, sentence, shop)),
            headers={"Content-Type": "application/json"},
            timeout=_TIMEOUT,
        )
    except (RivoError, ConnectionFailure) as error:
        reason = str(error).replace(url.get_secret_value(), "RIVO_ALERT_URL").removesuffix(".")
        return f"The alert could not be sent to RIVO_ALERT_URL: {reason}."
    except ValueError:
        return "The alert could not be sent: RIVO_ALERT_URL is not a valid URL."
    if response.status >= 300:
        return f"The alert could not be sent: RIVO_ALERT_URL answered with HTTP status {response.status}."
    return None


def _alert_url(shop: str) -> SecretStr | None:
    settings = Settings.load()
    names = names_of_several(settings)
    if not names:
        return settings.of_shop("").alert_url
    # A job of the user may have no shop, or one that RIVO_SHOPS named only before.
    return (settings.of_shop(shop) if shop in names else settings).alert_url


def slack_message(job: str, run_id: str, sentence: str, shop: str = "") -> dict[str, object]:
    """Return a Slack message: `text` is shown in notifications, `blocks` in the channel."""
    if len(sentence) > _LONGEST:
        sentence = sentence[: _LONGEST - 1] + "…"
    of_shop = f" of {shop}" if shop else ""
    title = f"Rivo sync{of_shop} failed" if job == "daily_sync" else f"Rivo: {job}{of_shop} failed"
    footer = f"Run {run_id[:8]} in the Dagster UI (`make dev`)"
    return {
        "text": f"{title}: {sentence}",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title}},
            {"type": "section", "text": {"type": "plain_text", "text": sentence}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": footer}]},
        ],
    }
