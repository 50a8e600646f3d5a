"""Which warehouse the commands look into that read no list."""

from __future__ import annotations

from pipelines.settings import Settings
from pipelines.warehouse import DEMO, resolve
from runs.demo import Target, target


def present_warehouse(settings: Settings) -> Target:
    """RIVO_WAREHOUSE where it is there or a key is set, else the demo's file, which need not be there."""
    real = resolve(settings.warehouse)
    if real.exists() and real != resolve(DEMO):
        return Target(settings, real, is_demo=False)
    return target(settings)
