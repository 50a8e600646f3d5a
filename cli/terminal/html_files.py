"""Where commands write HTML pages."""

from __future__ import annotations

from pathlib import Path


def html_file(output: Path, name: str) -> Path:
    """Return the file that an --output option names: in a folder, or under a name without an ending, it is `name`."""
    return output / name if output.is_dir() or not output.suffix else output
