"""Objects in an S3 bucket, or in that of a service with the same API, by boto3.

Keys, region and endpoint come from where every AWS program finds them: the variables AWS_..., from the environment or
`.env`, the files in ~/.aws, or the role of the machine.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from pipelines.env_file import export_variables
from pipelines.errors import SettingsError
from pipelines.objects.s3_errors import sentence
from pipelines.objects.store import NoObject, ObjectsError, PointerMoved, Stored, joined
from pipelines.settings import Settings

_ATTEMPTS = 4
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_MARK = "rivo-put"
"""Metadata of an object: a random text by which a put recognises what it has written itself."""
_DELETE_AT_ONCE = 1000
_PART_BYTES = 16_000_000
_PARTS_LIMIT = 9_000
"""S3 allows 10,000 parts."""
_THREADS = 4


def open_bucket(bucket: str, prefix: str, setting: str) -> Bucket:
    """Return the objects under a prefix of a bucket; nothing is requested yet.

    Raises:
        SettingsError: boto3 is not installed, or AWS settings are invalid.
    """
    try:
        import boto3  # noqa: F401
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise SettingsError(
            f"{setting}: S3 needs the package boto3. Install it with `make install EXTRAS=s3`."
        ) from None
    export_variables(Settings.model_config.get("env_file"))
    try:
        return Bucket(_client(tuple(sorted(_variables(os.environ).items()))), bucket, joined(prefix))
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(f"{setting}: {sentence(error, bucket)}") from None


@dataclass(frozen=True)
class S3Access:
    """Keys, region and endpoint, for a program that does not use boto3."""

    key_id: str
    secret: str = field(repr=False)
    token: str | None = field(repr=False)
    region: str
    endpoint: str


def s3_access(setting: str) -> S3Access:
    """Return the keys that boto3 finds.

    Raises:
        SettingsError: boto3 is not installed, AWS settings are invalid, or there are no keys.
    """
    client = open_bucket("", "", setting).client
    from boto3.session import Session
    from botocore.exceptions import BotoCoreError

    try:
        found = Session().get_credentials()
        keys = found.get_frozen_credentials() if found else None
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(f"{setting}: {sentence(error, '')}") from None
    if keys is None:
        raise SettingsError(
            f"{setting}: there are no S3 keys. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role, "
            "as for other AWS programs."
        )
    return S3Access(
        keys.access_key, keys.secret_key, keys.token, client.meta.region_name, client.meta.endpoint_url
    )


@lru_cache(maxsize=2)
def _client(_variables: tuple[tuple[str, str], ...]) -> Any:
    """Return a client for these variables, which boto3 reads itself. To make one takes a third of a second."""
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        user_agent_extra="rivo-warehouse",
    )
    session = boto3.session.Session()
    # Services other than AWS have no regions, and boto3 wants one all the same.
    return session.client("s3", region_name=session.region_name or "us-east-1", config=config)


@dataclass(frozen=True)
class Bucket:
    """The objects under a prefix of a bucket; see `Objects`."""

    client: Any
    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """The prefix, such as `s3://bucket/prefix`."""
        return f"s3://{joined(self.bucket, self.prefix)}"

    def under(self, name: str) -> Bucket:
        """Return the objects whose keys begin with `name/`."""
        return replace(self, prefix=joined(self.prefix, name))

    def put(self, file: Path, key: str) -> None:
        """Store a file under a new key, a large one in several parts."""
        from botocore.exceptions import ClientError

        mark = secrets.token_hex(8)
        given = {**self._names(key), "Metadata": {_MARK: mark}}
        with self._errors():
            try:
                if file.stat().st_size <= _PART_BYTES:
                    with file.open("rb") as content:
                        self.client.put_object(**given, Body=content, IfNoneMatch="*")
                else:
                    self._put_parts(file, given)
            except ClientError as error:
                if not _is_refused(error):
                    raise
                # boto3 repeats a request whose answer was lost, although it took effect.
                head = self.client.head_object(**self._names(key))
                if head["Metadata"].get(_MARK) != mark:
                    raise ObjectsError(f"{self.url}/{key} exists already, and is never replaced.") from None

    def get(self, key: str, file: Path) -> None:
        """Write an object into a local file."""
        from botocore.exceptions import ClientError

        with self._errors():
            try:
                self.client.download_file(self.bucket, joined(self.prefix, key), str(file))
            except ClientError as error:
                if _code(error) in ("404", "NoSuchKey"):
                    raise NoObject(f"{self.url}/{key} does not exist.") from None
                raise

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return a small object and its version, which is its ETag."""
        from botocore.exceptions import ClientError

        with self._errors():
            try:
                answer = self.client.get_object(**self._names(key))
                return answer["Body"].read(), answer["ETag"]
            except ClientError as error:
                if _code(error) == "NoSuchKey":
                    return None
                raise

    def write(self, key: str, content: bytes, version: str | None) -> str:
        """Replace a pointer that still has a version."""
        written = self._write(key, content, version)
        if version is None:
            self._refuse_without_conditions(key, content)
        return written

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Return the objects whose keys begin with `prefix`."""
        start = f"{self.prefix}/" if self.prefix else ""
        pages = self.client.get_paginator("list_objects_v2")
        with self._errors():
            for page in pages.paginate(Bucket=self.bucket, Prefix=f"{start}{prefix}"):
                now = _now_of(page)
                for found in page.get("Contents", ()):
                    age = max(timedelta(), now - found["LastModified"])
                    yield Stored(found["Key"].removeprefix(start), found["Size"], age)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, a thousand with a request."""
        with self._errors():
            rest = iter(keys)
            while some := list(islice(rest, _DELETE_AT_ONCE)):
                objects = [{"Key": joined(self.prefix, key)} for key in some]
                answer = self.client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True}
                )
                if failed := answer.get("Errors"):
                    raise ObjectsError(
                        f"{len(failed)} objects of {self.url} cannot be deleted ({failed[0].get('Code')}), for example "
                        f"{failed[0].get('Key')}. The key or role needs the permission s3:DeleteObject."
                    )

    def discard_unfinished(self, older_than: timedelta) -> None:
        """Delete the parts of large files that killed processes left."""
        start = f"{self.prefix}/" if self.prefix else ""
        pages = self.client.get_paginator("list_multipart_uploads")
        with self._errors():
            for page in pages.paginate(Bucket=self.bucket, Prefix=start):
                for found in page.get("Uploads", ()):
                    if _now_of(page) - found["Initiated"] >= older_than:
                        self.client.abort_multipart_upload(
                            Bucket=self.bucket, Key=found["Key"], UploadId=found["UploadId"]
                        )

    def _put_parts(self, file: Path, given: dict[str, Any]) -> None:
        """Upload a large file in parts; the object appears with the last request."""
        size = file.stat().st_size
        part_bytes = max(_PART_BYTES, size // _PARTS_LIMIT + 1)
        names = {"Bucket": given["Bucket"], "Key": given["Key"]}
        upload = {**names, "UploadId": self.client.create_multipart_upload(**given)["UploadId"]}

        def send(number: int) -> dict[str, Any]:
            with file.open("rb") as content:
                content.seek((number - 1) * part_bytes)
                answer = self.client.upload_part(**upload, PartNumber=number, Body=content.read(part_bytes))
            checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
            return {"PartNumber": number, "ETag": answer["ETag"], **checksums}

        try:
            with ThreadPoolExecutor(_THREADS) as threads:
                parts = list(threads.map(send, range(1, -(-size // part_bytes) + 1)))
            self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        except BaseException:
            with suppress(Exception):
                self.client.abort_multipart_upload(**upload)
            raise

    def _write(self, key: str, content: bytes, version: str | None) -> str:
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        with self._errors():
            try:
                answer = self.client.put_object(**self._names(key), Body=content, **condition)
                return str(answer["ETag"])
            except ClientError as error:
                if not _is_refused(error):
                    raise
                found = self.read(key)
                if found and found[0] == content:
                    return found[1]
                raise PointerMoved(
                    f"{self.url}/{key} was written by another process in the meantime."
                ) from None

    def _refuse_without_conditions(self, key: str, content: bytes) -> None:
        """Check, with the first pointer, that the service honours conditions: some S3-like services ignore them."""
        from botocore.exceptions import ClientError

        for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"00000000000000000000000000000000"'}):
            with self._errors():
                try:
                    self.client.put_object(**self._names(key), Body=content, **condition)
                except ClientError as error:
                    if not _is_refused(error):
                        raise
                    continue
            # Without conditions, two writers could destroy each other's work later.
            self.delete([key])
            raise ObjectsError(
                f"The service of {self.url} ignores If-Match and If-None-Match, without which two writers at once "
                "would not notice each other. Use AWS S3, or a service or release that has conditional writes."
            )

    def _names(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": joined(self.prefix, key)}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (ClientError, BotoCoreError, Boto3Error) as error:
            raise ObjectsError(sentence(error, self.bucket, self.client.meta.endpoint_url)) from None
        except OSError as error:
            raise ObjectsError(
                f"{error.filename or 'A file'} cannot be read or written ({error.strerror})."
            ) from None


def _variables(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name.startswith("AWS_")}


def _code(error: Exception) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def _is_refused(error: Exception) -> bool:
    """Return whether a condition did not hold. 409 is S3's answer to two writes at the same instant."""
    return _code(error) in ("PreconditionFailed", "ConditionalRequestConflict", "412", "NoSuchKey")


def _now_of(answer: dict[str, Any]) -> datetime:
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)
