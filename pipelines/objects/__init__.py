"""Objects under a prefix of an S3 bucket or in a local folder: files that never change, and pointers to them.

A file is put under a key of its own and is never replaced, so that a reader never sees parts of two files. A pointer is
a small object that is only written if it still is what the writer last read: of two writers, one fails.
"""

from pipelines.objects.opening import open_objects
from pipelines.objects.store import NoObject, Objects, ObjectsError, PointerMoved, Stored

__all__ = ["NoObject", "Objects", "ObjectsError", "PointerMoved", "Stored", "open_objects"]
