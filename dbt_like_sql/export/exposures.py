"""Exposures: the report page, and the questions that the reports of each theme answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dbt_like_sql.export.choice import Choice
from dbt_like_sql.runner.project import Model

REPORT_PAGE = (
    "dim_earning_rule",
    "dim_tier",
    "int_clock",
    "rpt_data_trust",
    "rpt_earning_rule_performance",
    "rpt_member_cohort_retention",
    "rpt_member_funnel",
    "rpt_member_rfm",
    "rpt_near_next_tier",
    "rpt_points_expiring",
    "rpt_points_liability",
    "rpt_points_rollforward",
    "rpt_points_vintage",
    "rpt_program_monthly",
    "rpt_redemption_rates",
    "rpt_referral_funnel",
    "rpt_referral_quality",
    "rpt_reward_performance",
    "rpt_reward_reach",
    "rpt_segment_performance",
    "rpt_tier_at_risk",
    "rpt_tier_distribution",
    "rpt_tier_migration",
    "rpt_tier_movement",
)
"""Models that `rivo report` reads; a test compares them with its code."""

_OWNER = {"name": "Loyalty team"}


def exposures(choice: Choice) -> list[dict[str, Any]]:
    """Return the exposures of an exported project, in dbt's format."""
    themes: dict[str, list[Model]] = defaultdict(list)
    for model in sorted(choice.models, key=lambda each: each.name):
        for theme in model.texts("theme"):
            themes[theme].append(model)
    page = {
        "name": "rivo_report_page",
        "label": "Report page",
        "type": "dashboard",
        "maturity": "high",
        "description": "The page that `rivo report` writes for one month. It reads the file of rivo-warehouse; "
        "the same models are here.",
        "depends_on": _refs([name for name in REPORT_PAGE if choice.has([name])]),
        "owner": _OWNER,
    }
    return [page, *(_theme(theme, themes[theme]) for theme in sorted(themes))]


def _theme(theme: str, models: Sequence[Model]) -> dict[str, Any]:
    questions = [f"- {question} ({model.name})" for model in models for question in model.texts("questions")]
    return {
        "name": f"questions_about_{theme}",
        "label": f"Questions about {theme}",
        "type": "analysis",
        "maturity": "high",
        "description": "\n".join(["Questions that these models answer:", "", *questions]),
        "depends_on": _refs([model.name for model in models]),
        "owner": _OWNER,
    }


def _refs(names: Sequence[str]) -> list[str]:
    return [f"ref('{name}')" for name in sorted(names)]
