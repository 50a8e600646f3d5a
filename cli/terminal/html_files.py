"""Where commands write HTML pages: a file, or a folder that gets one."""

from __future__ import annotations

from pathlib import Path

from pipelines.output_files import replacing


def html_file(output: Path, name: str) -> Path:
    """Return the file that an --output option names: in a folder, or under a name without an ending, it is `name`."""
    return output / name if output.is_dir() or not output.suffix else output


def write_html(path: Path, html: str) -> None:
    """Write a page; folders that do not exist are created.

    Raises:
        RivoError: the file cannot be written.
    """
    with replacing(path, "Choose another file with --output.") as sink:
        sink.write(html.encode())
