"""Python models in dbt's form: `model(dbt, session)` around the function of the project."""

from __future__ import annotations

import re
from collections.abc import Callable

from dbt_like_sql.runner import python_models
from dbt_like_sql.runner.project import Model

_WRAPPER = '''

def model(dbt, session):
    """Build the model with dbt, which passes no table by itself."""
    dbt.config(materialized="table")
    rows = calculated(
{arguments}
    )
    types = {{
{types}
    }}
    columns = [f'"{{c}}"::{{types[c]}} as "{{c}}"' if c in types else f'"{{c}}"' for c in rows.columns]
    return session.sql(f"select {{', '.join(columns)}} from rows")
'''


def dbt_python(model: Model, reference: Callable[[str], str], relations: dict[str, str]) -> str:
    """Return the text of a Python model for dbt-duckdb.

    Args:
        model: the model; its function is renamed to `calculated`.
        reference: returns dbt's call for a table by its name in SQL, such as `ref('dim_member')`.
        relations: the names in SQL of the tables that the parameters of its function name.
    """
    name = re.compile(rf"^def {python_models.FUNCTION}\(", re.MULTILINE)
    code = name.sub("def calculated(", model.code).rstrip("\n")
    arguments = [
        f"        {parameter}=dbt.{reference(relations[parameter])}.df(),"
        for parameter in python_models.parameters(model.code, model.path)
    ]
    types = [f'        "{c.name}": "{c.data_type}",' for c in model.columns if c.data_type]
    wrapper = _WRAPPER.format(arguments="\n".join(arguments), types="\n".join(types))
    return f"{code}\n{wrapper}"
