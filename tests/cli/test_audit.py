"""`make audit`: fails for a known vulnerability, and passes with a warning if the service cannot be reached."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pipelines.settings import PROJECT

FOUND = '{"dependencies": [{"name": "spam", "version": "1.0", "vulns": %s}]}'
FLAW = '[{"id": "PYSEC-1", "fix_versions": ["1.1"]}]'


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (FOUND % "[]", 0, "Audit: no known vulnerability in 1 locked packages."),
        (FOUND % FLAW, 1, "spam 1.0: PYSEC-1, fixed in 1.1"),
        ("", 0, "Audit: NOT DONE"),
    ],
)
def test_audit_exit_code_and_message_for_each_answer(
    answer: str, code: int, message: str, tmp_path: Path
) -> None:
    # Replaces uv, since tests must not use the network.
    uv = tmp_path / "uv"
    uv.write_text(
        "#!/usr/bin/env bash\n"
        'while [[ "$1" != --output* ]]; do command="$command $1"; shift; done\n'
        '[[ "$command" == *export* ]] && { echo spam==1.0 > "$2"; exit; }\n'
        f"[ -n '{answer}' ] || {{ echo 'no network' >&2; exit 1; }}\n"
        f"echo '{answer}' > \"$2\"\nexit {code}\n"
    )
    uv.chmod(0o755)

    result = subprocess.run(
        [PROJECT / ".ci" / "audit"],
        env={"PATH": os.environ["PATH"], "UV": str(uv)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert result.returncode == code, result.stdout + result.stderr
    assert message in result.stdout
