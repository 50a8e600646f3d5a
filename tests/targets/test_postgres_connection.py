"""Connections to PostgreSQL: errors are one line without the password, and a network that dies ends them."""

from __future__ import annotations

import socket
from pathlib import Path

import duckdb
import pytest

from pipelines.errors import command
from pipelines.targets.marks import TargetError
from pipelines.targets.postgres_connection import connected
from pipelines.targets.publishing import publish
from tests.targets.databases import Database
from tests.targets.warehouses import KEYS, SCHEMAS, publish_day

RAISE = """
do $$ begin
    raise exception 'duplicate key value of duplica' using hint = 'of two  spaces' || chr(10) || '  and lines';
end $$
"""


def options(database: Database, query: str) -> dict[str, int]:
    """Return options of the socket of a connection."""
    with connected(database.target(f"{database.url}{query}")) as connection:
        descriptor = socket.socket(fileno=socket.dup(connection.fileno()))
        with descriptor:
            return {
                "keepalive": descriptor.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                "idle": descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                "interval": descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                "count": descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                "user_timeout": descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            }


def test_connection_ends_when_the_network_dies(database: Database) -> None:
    expected = {"keepalive": 1, "idle": 30, "interval": 10, "count": 3, "user_timeout": 120_000}
    assert options(database, "") == expected
    changed = options(database, "?keepalives_idle=7&tcp_user_timeout=5000&connect_timeout=3")
    assert changed == {**expected, "idle": 7, "user_timeout": 5000}


@pytest.mark.parametrize(
    ("password", "shown"),
    [
        ("p", "the server's message has the password in it, so it is not shown"),
        ("duplicate", "*** key value of duplica"),
        ("two  spaces", "duplicate key value of duplica"),
        ("elsewhere", "duplicate key value of duplica"),
    ],
)
def test_error_has_no_password(database: Database, password: str, shown: str) -> None:
    database.do(f"create role loader login password '{password}'")
    target = database.target(database.url.replace("dagster@", "loader@"), password)
    with pytest.raises(TargetError) as caught, connected(target) as connection:
        connection.execute(RAISE)
    database.do("drop role loader")
    hint = " of two spaces and lines" if password in ("duplicate", "elsewhere") else " of *** and lines"
    place = f"postgresql://127.0.0.1:{database.server.port}/{database.name}"
    assert str(caught.value) == (
        f"RIVO_TARGET_PG ({place}) refused the publication: {shown}{'' if password == 'p' else hint}. It keeps what it "
        f"has. Correct that, then run `{command()} publish pg`."
    )


def test_limit_of_the_server_is_a_refusal_on_one_line(tmp_path: Path, database: Database) -> None:
    publish_to = database.target()
    [done] = publish(publish_day(tmp_path), "", [publish_to], SCHEMAS, KEYS)
    assert done.problem == ""
    database.do("create index on marts.dim_member (note)")
    warehouse = publish_day(tmp_path, 1)
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute(
            "update marts.dim_member set note = (select string_agg(md5(i::varchar), '') from range(120) r(i)) "
            "where customer_id = 7"
        )
    [failed] = publish(warehouse, "", [publish_to], SCHEMAS, KEYS)
    assert "refused the publication: index row size" in failed.problem
    assert "server runs" not in failed.problem
    assert "\n" not in failed.problem


def test_closed_connection_cannot_be_used(database: Database) -> None:
    with pytest.raises(TargetError) as caught, connected(database.target()) as connection:
        connection.execute("select pg_terminate_backend(pg_backend_pid())")
    assert "cannot be used: terminating connection due to administrator command" in str(caught.value)
