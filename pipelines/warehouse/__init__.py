"""The warehouse: where it is, how it is opened, built, published and backed up. Nothing outside knows it is a file."""

from pipelines.warehouse.build import (
    DEMO,
    RAW,
    Build,
    building,
    is_being_built,
    latest,
    make_room,
    news_file,
    read_only,
    resolve,
    unpublished,
)

__all__ = [
    "DEMO",
    "RAW",
    "Build",
    "building",
    "is_being_built",
    "latest",
    "make_room",
    "news_file",
    "read_only",
    "resolve",
    "unpublished",
]
