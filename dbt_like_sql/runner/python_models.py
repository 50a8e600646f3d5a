"""Models written in Python, for calculations that SQL cannot express well, such as survival curves.

`models/<layer>/<name>.py` defines a function `model`. Each parameter is the name of a table and receives that
table as a pandas DataFrame; the returned DataFrame is the content of the model.

    import pandas as pd

    def model(fct_tier_change: pd.DataFrame, dim_member: pd.DataFrame) -> pd.DataFrame:
        moves = fct_tier_change.merge(dim_member, on="customer_id")
        return moves.groupby("to_state", as_index=False).agg(members=("customer_id", "nunique"))

The name of a raw table has two underscores instead of the dot (`rivo_raw__customers`). The tables are held in
memory, with the types of DuckDB's `.df()`: decimals are floats, dates are timestamps. A column with a `data_type`
in the property file is cast to that type. The function must be deterministic: no clock, no random numbers.
"""

from __future__ import annotations

import ast
import traceback
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path, PurePath
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dbt_like_sql.runner.errors import ProjectError
from dbt_like_sql.runner.masking import masked

if TYPE_CHECKING:
    import pandas as pd

FUNCTION = "model"
"""Name of the function that a Python model defines."""


class PythonModelError(Exception):
    """The function failed or did not return a table. The message says why, with the file and line."""


def import_pandas_soon() -> None:
    """Import pandas in a thread: it takes a third of a second, in which DuckDB builds other models."""
    Thread(target=import_module, args=("pandas",)).start()


def names(nodes: Iterable[str], sources: Iterable[str]) -> dict[str, str]:
    """Map parameter names to names in SQL: models and seeds by their name, any table with '__' for the dot."""
    nodes, sources = list(nodes), list(sources)
    return {relation.replace(".", "__"): relation for relation in [*sources, *nodes]} | {
        relation.rpartition(".")[2]: relation for relation in nodes
    }


def parameters(code: str, path: PurePath) -> dict[str, int]:
    """Return the parameters of a Python model's function with their lines, without running the code.

    Raises:
        ProjectError: the file is not valid Python, or has no such function, or its parameters are not table names.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        where = f"{path}, line {error.lineno}, column {error.offset}"
        raise ProjectError(f"{where}: this is not valid Python: {error.msg}.") from None
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == FUNCTION]
    if not found:
        raise ProjectError(
            f"{path} has no function `{FUNCTION}`. Define one, for example `def {FUNCTION}(dim_member)`. It "
            "receives the tables that its parameters name as DataFrames and returns a DataFrame."
        )
    function = found[-1]
    arguments = function.args
    named = [*arguments.args, *arguments.kwonlyargs]
    if [argument.arg for argument in named] == ["dbt", "session"]:
        raise ProjectError(
            f"{path}, line {function.lineno}: dbt's `{FUNCTION}(dbt, session)` is not supported. Use the tables "
            f"as parameters: `def {FUNCTION}(dim_member)` instead of dbt.ref('dim_member')."
        )
    if arguments.posonlyargs or arguments.vararg or arguments.kwarg or len(named) > _required(arguments):
        raise ProjectError(
            f"{path}, line {function.lineno}: the parameters of `{FUNCTION}` must be names of tables, "
            "without *, / or default values."
        )
    return {argument.arg: argument.lineno for argument in named}


def run(code: str, path: Path, file: PurePath, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Run the function of a Python model.

    `tables` holds its arguments by parameter name, `path` is the file and `file` its name in error messages.

    Raises:
        PythonModelError: the function raised an error or returned no valid table.
    """
    import pandas as pd

    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        exec(compile(code, str(path), "exec"), module.__dict__)  # noqa: S102 - it is the analyst's own code
        returned: Any = getattr(module, FUNCTION)(**tables)
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        place = f", line {lines[-1]}" if lines else ""
        message = masked(f"{type(error).__name__}: {error}".splitlines()[0], code)
        raise PythonModelError(f"{file}{place}: {message}") from error
    if not isinstance(returned, pd.DataFrame):
        raise PythonModelError(
            f"{file}: `{FUNCTION}` returned {_article(type(returned).__name__)}, but it must return a pandas DataFrame."
        )
    if not len(returned.columns):
        raise PythonModelError(
            f"{file}: `{FUNCTION}` returned a DataFrame without columns. Return at least one column."
        )
    names = [str(name) for name in returned.columns]
    duplicates = sorted({name for name in names if [n.lower() for n in names].count(name.lower()) > 1})
    if duplicates:
        raise PythonModelError(
            f"{file}: `{FUNCTION}` returned several columns with the same name: {', '.join(duplicates)}. "
            "Names in SQL ignore case. Rename or drop one."
        )
    return returned.set_axis(names, axis="columns")


def _required(arguments: ast.arguments) -> int:
    """Count the parameters without a default value."""
    optional = len(arguments.defaults) + sum(d is not None for d in arguments.kw_defaults)
    return len(arguments.args) + len(arguments.kwonlyargs) - optional


def _article(name: str) -> str:
    if name == "NoneType":
        return "nothing"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
