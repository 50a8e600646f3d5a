"""The prompt of `rivo query` without SQL: history, completion, statements of several lines."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
import platformdirs
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.filters import completion_is_selected, is_searching
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.shortcuts import CompleteStyle
from pygments.lexers.sql import SqlLexer

from cli import exits
from cli.terminal.completion import COMMANDS, SqlCompleter
from cli.terminal.printable import printable
from cli.terminal.query_session import QuerySession, is_ended, split
from cli.terminal.tables import counted, short, terminal
from pipelines.errors import RivoError
from pipelines.sql import scalar
from pipelines.warehouse import AllShops

PROMPT = "rivo> "
_LEAVE = ("exit", "quit", ".quit", ".exit")
_HELP = ("help", ".help")
_ALONE = (*_LEAVE, *_HELP)
"""Words that need no semicolon."""


def history_file() -> Path:
    """Return where the prompt keeps its history: in the user's state folder."""
    return platformdirs.user_state_path("rivo-warehouse", appauthor=False) / "query_history"


class Prompt:
    """A dialogue on the terminal. Each answer is from the newest published data."""

    def __init__(self, session: QuerySession, *, is_demo: bool) -> None:
        self._session = session
        self._is_demo = is_demo
        self._console = terminal()
        self._signal: int | None = None
        self._is_busy = False
        self._input: PromptSession[str] = PromptSession(
            history=self._history(),
            auto_suggest=AutoSuggestFromHistory(),
            complete_style=CompleteStyle.MULTI_COLUMN,
            completer=SqlCompleter(session.connection),
            key_bindings=_keys(),
            lexer=PygmentsLexer(SqlLexer),
            multiline=True,
            prompt_continuation=lambda width, _line, _wraps: "...> ".rjust(width),
            reserve_space_for_menu=6,
        )

    def run(self) -> None:
        """Answer statements until the user leaves."""
        self._greet()
        with self._signals():
            while True:
                try:
                    text = self._input.prompt(PROMPT).strip()
                except KeyboardInterrupt:
                    continue
                except EOFError:
                    return
                if text.rstrip(" ;").lower() in _LEAVE:
                    return
                self._answer(text)

    def _answer(self, text: str) -> None:
        self._signal = None
        self._is_busy = True
        try:
            if self._session.follow():
                self._input.completer = SqlCompleter(self._session.connection)
                self._say(f"A sync has published newer data. From here on: {self._data()}.")
            if text.rstrip(" ;").lower() in _HELP:
                self._help()
            elif text.startswith("."):
                self._command(*text.rstrip(" ;").split())
            else:
                for statement in split(text):
                    if self._signal is None:
                        self._session.show(statement)
        except RivoError as error:
            # A statement that a signal has ended fails too.
            if self._signal is None:
                click.echo(f"Error: {printable(str(error))}", err=True)
        finally:
            self._is_busy = False
        if self._signal == signal.SIGTERM:
            sys.exit(exits.TERMINATED)
        if self._signal == signal.SIGINT:
            click.echo("Cancelled.", err=True)

    def _command(self, name: str, *arguments: str) -> None:
        if name != ".tables" or len(arguments) > 1:
            raise RivoError(
                f"There is no command {' '.join([name, *arguments])}. `.help` lists the commands."
            )
        self._session.show(" from ".join(["show tables", *arguments]))

    def _greet(self) -> None:
        tables = "information_schema.tables where table_catalog = current_database()"
        count = scalar(self._session.connection, f"select count(*) from {tables}")
        self._say(f"{self._place()}, {self._data()}, {counted(count, 'table')}.")
        self._say(
            "End a statement with ; and Enter. `.tables` lists the tables, `.help` helps, Ctrl-D leaves."
        )

    def _place(self) -> str:
        warehouse = self._session.warehouse
        if isinstance(warehouse, AllShops):
            return f"{counted(len(warehouse.published), 'shop')} ({', '.join(warehouse.published)})"
        return short(warehouse)

    def _data(self) -> str:
        observed_at = self._session.observed_at
        day = f"{observed_at:%Y-%m-%d %H:%M} UTC" if observed_at else "no complete sync yet"
        return f"{'simulated data' if self._is_demo else 'data'} of {day}" if observed_at else day

    def _help(self) -> None:
        for command, help_ in COMMANDS.items():
            self._console.print(f"{command:<9} {help_}", highlight=False, markup=False)
        for key, help_ in {
            "Tab": "completes schemas, tables, columns, keywords",
            "Enter": "runs a statement that ends with ; and otherwise begins a new line",
            "Up": "goes back to earlier statements, Ctrl-R searches them",
            "Ctrl-C": "clears the line, or cancels the statement that is running",
            "Ctrl-D": "leaves",
        }.items():
            self._console.print(f"{key:<9} {help_}", highlight=False, markup=False)
        self._say(
            "The dialect is DuckDB's; a table's name needs no schema. `describe TABLE` shows its columns. "
            f"The history is in {history_file()}."
        )

    def _history(self) -> History:
        path = history_file()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Statements can hold an e-mail address.
            path.touch(mode=0o600)
            path.chmod(0o600)
            # FileHistory opens it for each statement.
            with path.open("ab"):
                return FileHistory(str(path))
        except OSError as error:
            self._say(f"The history is not kept: {path} cannot be written ({error.strerror}).")
            return InMemoryHistory()

    def _say(self, sentence: str) -> None:
        self._console.print(sentence, style="dim", highlight=False, markup=False)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let Ctrl-C end a statement, and SIGTERM the prompt; the watch over signals ends a process that goes on."""

        def stop(number: int, _frame: FrameType | None) -> None:
            self._signal = number
            if self._is_busy:
                # An exception would leave DuckDB's other threads at work, and the next statement would wait for them.
                self._session.interrupt()
            elif number == signal.SIGTERM:
                sys.exit(exits.TERMINATED)
            else:
                raise KeyboardInterrupt

        watch = signal.set_wakeup_fd(-1)
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(watch)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=~is_searching & ~completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        text = event.current_buffer.text.strip()
        if not text or text.startswith(".") or text.lower() in _ALONE or is_ended(text):
            event.current_buffer.validate_and_handle()
        else:
            event.current_buffer.newline(copy_margin=False)

    @keys.add("enter", filter=completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        # The chosen completion is in the text; only its menu is closed.
        event.current_buffer.complete_state = None

    return keys
