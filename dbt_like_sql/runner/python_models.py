"""Models written in Python, for what SQL is the wrong tool for: survival curves, chain ladders.

`models/<layer>/<name>.py` holds a function `model`. Each of its parameters is the name of a table, and is
given that table as a pandas DataFrame; the DataFrame it returns is the model.

    import pandas as pd

    def model(fct_tier_change: pd.DataFrame, dim_member: pd.DataFrame) -> pd.DataFrame:
        moves = fct_tier_change.merge(dim_member, on="customer_id")
        return moves.groupby("to_state", as_index=False).agg(members=("customer_id", "nunique"))

A raw table is named with two underscores for the dot (`rivo_raw__customers`). The tables are held in memory,
with the types of DuckDB's own `.df()`: decimals are floats, dates are timestamps. A column with a `data_type`
in the property file is cast to it. The function must give the same for the same tables: no clock, no chance.
"""

from __future__ import annotations

import ast
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dbt_like_sql.runner.errors import ProjectError
from dbt_like_sql.runner.masking import masked

if TYPE_CHECKING:
    import pandas as pd

FUNCTION = "model"


class PythonModelError(Exception):
    """The function did not return a table; the message says why, and in which line."""


def names(nodes: Iterable[str], sources: Iterable[str]) -> dict[str, str]:
    """Say how parameters call tables: models and seeds by their name, and any table with '__' for the dot."""
    nodes, sources = list(nodes), list(sources)
    return {relation.replace(".", "__"): relation for relation in [*sources, *nodes]} | {
        relation.rpartition(".")[2]: relation for relation in nodes
    }


def parameters(code: str, path: PurePath) -> dict[str, int]:
    """List the parameters of a Python model's function, with their lines, without running it.

    Raises:
        ProjectError: the file is no Python, or has no such function.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        where = f"{path}, line {error.lineno}, column {error.offset}"
        raise ProjectError(f"{where}: this is not valid Python: {error.msg}.") from None
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == FUNCTION]
    if not found:
        raise ProjectError(
            f"{path} has no function `{FUNCTION}`. A Python model is a function `def {FUNCTION}(dim_member)` that "
            "takes the tables it names as DataFrames and returns one."
        )
    function = found[-1]
    arguments = function.args
    named = [*arguments.args, *arguments.kwonlyargs]
    if [argument.arg for argument in named] == ["dbt", "session"]:
        raise ProjectError(
            f"{path}, line {function.lineno}: dbt's `{FUNCTION}(dbt, session)` is written here with the tables "
            f"themselves as parameters: `def {FUNCTION}(dim_member)` for dbt.ref('dim_member')."
        )
    if arguments.posonlyargs or arguments.vararg or arguments.kwarg or len(named) > _required(arguments):
        raise ProjectError(
            f"{path}, line {function.lineno}: the parameters of `{FUNCTION}` are names of tables, so there can be "
            "no *, / or default values among them."
        )
    return {argument.arg: argument.lineno for argument in named}


def run(code: str, path: Path, file: PurePath, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Run the function of a Python model on its tables, by the names of its parameters.

    Raises:
        PythonModelError: it raised an error, or returned something else than a table.
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
        said = masked(f"{type(error).__name__}: {error}".splitlines()[0], code)
        raise PythonModelError(f"{file}{place}: {said}") from error
    if not isinstance(returned, pd.DataFrame):
        raise PythonModelError(
            f"{file}: `{FUNCTION}` returned {_article(type(returned).__name__)}, but it must return a pandas DataFrame."
        )
    if not len(returned.columns):
        raise PythonModelError(f"{file}: `{FUNCTION}` returned a DataFrame without columns.")
    names = [str(name) for name in returned.columns]
    twice = sorted({name for name in names if [n.lower() for n in names].count(name.lower()) > 1})
    if twice:
        raise PythonModelError(f"{file}: `{FUNCTION}` returned columns of one name: {', '.join(twice)}.")
    return returned.set_axis(names, axis="columns")


def _required(arguments: ast.arguments) -> int:
    """Count the parameters without a default value."""
    optional = len(arguments.defaults) + sum(d is not None for d in arguments.kw_defaults)
    return len(arguments.args) + len(arguments.kwonlyargs) - optional


def _article(name: str) -> str:
    if name == "NoneType":
        return "nothing"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
