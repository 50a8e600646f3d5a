"""Where commands write HTML pages."""

from __future__ import annotations

from pathlib import Path


def html_file(output: Path, name: str) -> Path:
    """Return the file that an --output option names: `name` in a folder, or in a new one without an ending."""
    # A name that exists may be a device such as /dev/stdout.
    is_folder = output.is_dir() if output.exists() else not output.suffix
    return output / name if is_folder else output
