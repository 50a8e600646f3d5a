"""`rivo query` without SQL: the prompt on a pseudo-terminal, and the error without a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from cli.terminal.completion import SqlCompleter
from cli.terminal.query_session import is_ended, query_session, split
from pipelines.warehouse import Warehouse
from tests.cli.conftest import RIVO, environment

CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]|\r|\x07")
ENDLESS = "select sum(a.i * b.i) from range(1000000) as a(i), range(1000000) as b(i);"


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """`rivo query` on a pseudo-terminal."""

    def __init__(self, home: Path, warehouse: Path) -> None:
        ours, theirs = pty.openpty()
        self._screen = ours
        self._seen = b""
        self.process = subprocess.Popen(
            [RIVO, "query"],
            env=environment(
                home,
                RIVO_WAREHOUSE=str(warehouse),
                TERM="xterm",
                COLUMNS="140",
                LINES="40",
                # This terminal does not answer where its cursor is.
                PROMPT_TOOLKIT_NO_CPR="1",
            ),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def expect(self, text: str, seconds: float = 60) -> str:
        """Return what appears up to a text, which must come."""
        end = time.monotonic() + seconds
        while text not in (shown := CONTROL.sub(b"", self._seen).decode(errors="ignore")):
            assert time.monotonic() < end, f"{text!r} has not appeared: {shown}"
            if select.select([self._screen], [], [], 0.2)[0]:
                try:
                    self._seen += os.read(self._screen, 65536)
                except OSError:
                    raise AssertionError(f"the prompt ended before {text!r}: {shown}") from None
        before, found, after = shown.partition(text)
        self._seen = after.encode()
        return before + found

    def ask(self, line: str, expected: str) -> str:
        """Type a line and return its answer, which must have a text in it; the prompt is ready for the next one."""
        self.type(f"{line}\r")
        return self.expect(expected) + self.expect("rivo>")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._screen)


@pytest.fixture
def terminal(tmp_path: Path, warehouse: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, warehouse)
    try:
        terminal.expect("rivo>")
        yield terminal
    finally:
        terminal.close()


def test_prompt_runs_statements_of_several_lines_and_keeps_a_private_history(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.type("select 12345 as points,\r")
    terminal.expect("...>")
    answer = terminal.ask("12345 as customer_id; select 'sec' || 'ond' as text;", "second")
    assert re.search(r"12,345 +12345", answer)
    assert "rpt_data_trust" in terminal.ask(".tables reports", "rpt_tier_migration")
    assert ".quit" in terminal.ask("help", "query_history")

    terminal.type("\x04")
    assert terminal.process.wait(30) == 0

    [history] = tmp_path.rglob("query_history")
    assert history.stat().st_mode & 0o777 == 0o600
    assert "12345 as customer_id" in history.read_text()


def test_prompt_answers_errors_with_sentences_and_goes_on(terminal: Terminal, warehouse: Path) -> None:
    before = warehouse.read_bytes()
    terminal.ask("from dim_membr;", "Nearest: marts.dim_member")
    terminal.ask(f"copy (select 1) to '{warehouse}';", "is not allowed")
    terminal.ask(".nothing", "There is no command .nothing")

    assert "Traceback" not in terminal.ask("select 40 + 2 as answer;", "42")
    assert warehouse.read_bytes() == before


def test_prompt_cancels_a_statement_with_ctrl_c(terminal: Terminal) -> None:
    terminal.type("select 'not sent\x03")
    terminal.expect("rivo>")
    terminal.type(f"{ENDLESS}\r")
    # Where the prompt has not read the statement yet, the terminal forgets it at a Ctrl-C.
    terminal.expect("b(i);")
    # A Ctrl-C before the statement has begun is one for the next line.
    for _ in range(30):
        terminal.type("\x03")
        with suppress(AssertionError):
            terminal.expect("Cancelled.", 2)
            break
    else:
        pytest.fail("the statement goes on")
    terminal.expect("rivo>")

    terminal.ask("select 40 + 2 as answer;", "42")


@pytest.mark.parametrize("statement", ["", f"{ENDLESS}\r"], ids=["idle", "busy"])
def test_prompt_ends_with_sigterm(terminal: Terminal, statement: str) -> None:
    terminal.type(statement)
    time.sleep(0.5)
    terminal.process.send_signal(signal.SIGTERM)

    assert terminal.process.wait(30) == 143


def test_prompt_reads_newer_data_after_a_publication(terminal: Terminal, warehouse: Path) -> None:
    question = "select count(*) as tiers from vip_tiers where id = 424242;"
    assert "newer data" not in terminal.ask(question, "1 row")
    newer = warehouse.with_name("newer.duckdb")
    shutil.copyfile(warehouse, newer)
    with duckdb.connect(str(newer)) as connection:
        connection.execute("insert into rivo_raw.vip_tiers by name select 424242 as id")
    newer.replace(warehouse)

    answer = terminal.ask(question, "1 row")

    assert "A sync has published newer data. From here on: data of 2" in answer
    assert re.search(r"tiers\s+─+\s+1\s+1 row", answer)
    assert "newer data" not in terminal.ask(question, "1 row")


def test_query_without_sql_and_terminal_shows_how_to_pass_it(tmp_path: Path) -> None:
    result = subprocess.run(
        [RIVO, "query"], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment(tmp_path)
    )

    assert result.returncode == 2
    assert "There is no SQL, and a prompt needs a terminal." in result.stderr
    assert 'rivo query "from reports.rpt_data_trust"' in result.stderr


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("select 1;", ["select 1"]),
        ('select \';\' as a; -- ;\nselect "b;" from (select 1 as "b;");', 2),
        ("select 'ä;→';from x", ["select 'ä;→'", "from x"]),
        (" ; -- nothing", []),
    ],
)
def test_split_separates_statements_at_semicolons_outside_texts(
    sql: str, statements: list[str] | int
) -> None:
    found = split(sql)

    assert (len(found) if isinstance(statements, int) else found) == statements


@pytest.mark.parametrize(
    ("sql", "ended"),
    [
        ("select 1;", True),
        ("select 1; -- done", True),
        ("select 1", False),
        ("select ';", False),
        ("select 1 -- ;", False),
        ("", False),
    ],
)
def test_statement_is_ended_by_a_semicolon_outside_texts_and_comments(sql: str, ended: bool) -> None:
    assert is_ended(sql) is ended


@pytest.fixture(scope="module")
def completer(filled: Path) -> Iterator[SqlCompleter]:
    with query_session(Warehouse(filled)) as session:
        yield SqlCompleter(session.connection)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from rep", "reports"),
        ("from reports.rpt_tier_mig", "rpt_tier_migration"),
        ("from rpt_tier_mig", "rpt_tier_migration"),
        ("select points_bal| from marts.dim_member", "points_balance"),
        ("select points_bala", "points_balance"),
        ("select m.loyalty| from dim_member as m", "loyalty_status"),
        ("select d.lef| from rpt_program_daily d", '"left"'),
        ("sel", "SELECT"),
        ("select date_tr", "date_trunc"),
        (".ta", ".tables"),
        (".tables mar", "marts"),
    ],
)
def test_completion_offers_the_fitting_name_first(completer: SqlCompleter, text: str, expected: str) -> None:
    before, _, after = text.partition("|")

    offered = completer.get_completions(Document(before + after, len(before)), CompleteEvent())

    assert next(iter(offered)).text == expected


def test_completion_offers_nothing_before_a_word_begins(completer: SqlCompleter) -> None:
    assert list(completer.get_completions(Document("select "), CompleteEvent())) == []
