"""Rewrites for Snowflake, with the session time zone UTC."""

from __future__ import annotations

from sqlglot import exp

from dbt_like_sql.export.dialects.common import (
    function,
    key_parts,
    named_calls,
    parsed_texts,
    thousands,
    unit_of,
)
from dbt_like_sql.export.dialects.stars import Tables

_FORMATS = {"%b %d, %Y": "MON DD, YYYY", "%B %d, %Y": "MMMM DD, YYYY"}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def first_of_array(tree: exp.Query, _: Tables) -> None:
    """`max_by` does not compare rows: take the first value of an array sorted by them, as a text."""
    for call in list(tree.find_all(exp.ArgMax, exp.ArgMin)):
        if isinstance(call.expression, exp.Tuple):
            ways = "DESC" if isinstance(call, exp.ArgMax) else "ASC"
            keys = ", ".join(f"{part.sql('snowflake')} {ways}" for part in key_parts(call.expression))
            sql = f"get(array_agg({call.this.sql('snowflake')}) within group (order by {keys}), 0)::varchar"
            call.replace(exp.maybe_parse(sql, dialect="snowflake"))


def checked_casts(tree: exp.Query, _: Tables) -> None:
    """`try_cast` takes only texts. Use `try_to_decimal` for them, and cast a number if it is not too large."""
    for cast in list(tree.find_all(exp.TryCast)):
        value, digits = cast.this.copy(), [each.this.copy() for each in cast.to.expressions]
        if isinstance(value, exp.Div):
            small = exp.LT(this=exp.Abs(this=value), expression=exp.Literal.number("10000000000"))
            plain = exp.Cast(this=value.copy(), to=cast.to.copy())
            cast.replace(exp.Case(ifs=[exp.If(this=small, true=plain)]))
        else:
            precision = digits or [exp.Literal.number(38), exp.Literal.number(0)]
            cast.replace(function("TRY_TO_DECIMAL", exp.cast(value, "varchar"), *precision))


def parsed_dates(tree: exp.Query, _: Tables) -> None:
    """`try_strptime` is `try_to_date`, which takes one format."""
    for call, text, formats in parsed_texts(tree):
        tries = [function("TRY_TO_DATE", text.copy(), exp.Literal.string(_FORMATS[each])) for each in formats]
        call.replace(exp.func("coalesce", *tries))


def instant_of_local_time(tree: exp.Query, _: Tables) -> None:
    """`local::timestamp at time zone z` is `convert_timezone(z, 'UTC', local)`, an instant in a session in UTC."""
    for call in list(tree.find_all(exp.AtTimeZone)):
        if isinstance(call.this, exp.Cast):
            utc = exp.Literal.string("UTC")
            moved = function("CONVERT_TIMEZONE", call.args["zone"].copy(), utc, call.this.copy())
            call.replace(exp.cast(moved, "timestamptz"))


def found_pattern(tree: exp.Query, _: Tables) -> None:
    """`regexp_like` compares the whole text. `regexp_instr` searches in it."""
    for call in list(tree.find_all(exp.RegexpLike)):
        found = function("REGEXP_INSTR", call.this.copy(), call.expression.copy())
        call.replace(exp.GT(this=found, expression=exp.Literal.number(0)))


def text_functions(tree: exp.Query, _: Tables) -> None:
    """`format('{:,}', n)` is `to_char`; `dayname` and `monthname` are abbreviations: write the whole name."""
    for call in list(tree.find_all(exp.Format)):
        number = thousands(call)
        if number is not None:
            call.replace(function("TO_CHAR", number.copy(), exp.Literal.string("FM999,999,999,999,999,990")))
    for month in list(tree.find_all(exp.Monthname)):
        month.replace(function("TO_CHAR", month.this.copy(), exp.Literal.string("MMMM")))
    for day in list(tree.find_all(exp.Dayname)):
        names = [
            each
            for n, name in enumerate(_DAYS, 1)
            for each in (exp.Literal.number(n), exp.Literal.string(name))
        ]
        day.replace(function("DECODE", function("DAYOFWEEKISO", day.this.copy()), *names))


def whole_division(tree: exp.Query, _: Tables) -> None:
    """A cast to an integer rounds. `a // b` is the floor of the quotient."""
    for division in list(tree.find_all(exp.IntDiv)):
        quotient = exp.Div(this=division.this.copy(), expression=division.expression.copy(), typed=True)
        division.replace(exp.Floor(this=quotient))


def added_intervals(tree: exp.Query, _: Tables) -> None:
    """An interval cannot be multiplied. `t + n * interval 1 hour` is `dateadd(hour, n, t)`."""
    for product in list(tree.find_all(exp.Mul)):
        total = product.parent
        if isinstance(product.expression, exp.Interval) and isinstance(total, exp.Add | exp.Sub):
            count: exp.Expr = product.this.copy()
            if isinstance(total, exp.Sub):
                count = exp.Neg(this=exp.paren(count))
            unit = exp.var(unit_of(product.expression))
            total.replace(function("DATEADD", unit, count, total.this.copy()))


def flattened_series(tree: exp.Query, _: Tables) -> None:
    """There is no list of dates: count from the first one, over a flattened range of numbers."""
    for join in list(tree.find_all(exp.Join)):
        unnest = join.this
        if not isinstance(unnest, exp.Unnest):
            continue
        [series], alias = unnest.expressions, unnest.args["alias"]
        start, end, step = series.args["start"], series.args["end"], series.args.get("step")
        counted: exp.Expr = exp.column("value", alias.name)
        if step:
            unit = unit_of(step)
            length = f"datediff({unit}, {start.sql('snowflake')}, {end.sql('snowflake')}) + 1"
            counted = function("DATEADD", exp.var(unit), counted, start.copy())
        else:
            length = end.sql("snowflake")
        for column in list(tree.find_all(exp.Column)):
            if column.table == alias.name and column.name == alias.columns[0].name:
                column.replace(counted.copy())
        numbers = f"array_generate_range(0, greatest({length}, 0))"
        lateral = f"select 1 from t cross join lateral flatten(input => {numbers}) as {alias.name}"
        parsed: exp.Expr = exp.maybe_parse(lateral, dialect="snowflake")
        join.replace(parsed.args["joins"][0])


def names_in_capitals(tree: exp.Query, _: Tables) -> None:
    """Names without quotes are stored in capitals, so quoted ones must be written in capitals."""
    for name in tree.find_all(exp.Identifier):
        if name.args.get("quoted"):
            name.set("this", name.name.upper())


def json_of_variant(tree: exp.Query, _: Tables) -> None:
    """`json_extract_path_text` takes a text; a JSON column may be a variant."""
    for access in tree.find_all(exp.JSONExtractScalar):
        access.set("this", exp.cast(access.this.copy(), "varchar"))


def microseconds(tree: exp.Query, _: Tables) -> None:
    """`epoch_us` is a part of the date."""
    for call in named_calls(tree, "epoch_us"):
        call.replace(function("DATE_PART", exp.var("EPOCH_MICROSECOND"), call.expressions[0].copy()))
