"""Rewrites for PostgreSQL 15."""

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

_MONTHS = (
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|"
    "aug(ust)?|sep(tember)?|oct(ober)?|nov(ember)?|dec(ember)?"
)
_DIGITS_OF_BIGINT = 18
_DATE = rf"^\s*({_MONTHS}) \d{{1,2}}, \d{{1,4}}\s*$"
_NUMBER = r"^\s*[+-]?\d{1,18}(\.\d*)?([eE][+-]?\d)?\s*$"


def first_of_array(tree: exp.Query, _: Tables) -> None:
    """No `arg_max` or `arg_min`: take the first of `array_agg(value order by key)`, as DuckDB without nulls."""
    for call in list(tree.find_all(exp.ArgMax, exp.ArgMin)):
        present = [call.this, call.expression] if not isinstance(call.expression, exp.Tuple) else [call.this]
        condition = exp.and_(*(exp.Not(this=exp.Is(this=p.copy(), expression=exp.null())) for p in present))
        keys = [
            exp.Ordered(this=part.copy(), desc=isinstance(call, exp.ArgMax), nulls_first=False)
            for part in key_parts(call.expression)
        ]
        array = exp.ArrayAgg(this=exp.Order(this=call.this.copy(), expressions=keys))
        kept = exp.Filter(this=array, expression=exp.Where(this=condition))
        call.replace(exp.Bracket(this=exp.paren(kept), expressions=[exp.Literal.number(1)], offset=1))


def checked_casts(tree: exp.Query, _: Tables) -> None:
    """No `try_cast`: cast a number if it is not too large for the type, and a text if it looks like such a number."""
    for cast in list(tree.find_all(exp.TryCast)):
        value, digits = cast.this.copy(), [int(each.name) for each in cast.to.expressions]
        is_text = not isinstance(value, exp.Div)
        number = exp.cast(value.copy(), "decimal") if is_text else value
        limit = exp.Literal.number(10 ** (digits[0] - digits[1] if digits else _DIGITS_OF_BIGINT))
        # exp.cast() would take the two casts of decimals for one.
        checked = exp.Cast(this=number.copy(), to=cast.to.copy())
        small = exp.LT(this=exp.Abs(this=number), expression=limit)
        result = exp.Case(ifs=[exp.If(this=small, true=checked)])
        if is_text:
            matches = exp.RegexpLike(this=value, expression=exp.Literal.string(_NUMBER))
            result = exp.Case(ifs=[exp.If(this=matches, true=result)])
        cast.replace(result)


def parsed_dates(tree: exp.Query, _: Tables) -> None:
    """No `try_strptime`: count the days from the first of the month, if the month has that day."""
    for call, found, _formats in parsed_texts(tree):
        text = found.sql("postgres")
        # 'Mon' reads three letters of the name of a month.
        first = f"to_date(regexp_replace({text}, '^\\s*(\\w{{3}})\\w* \\d+,', '\\1 1,'), 'Mon DD, YYYY')"
        day = f"substring({text} from '(\\d+),')::int"
        last_day = f"extract(day from {first} + interval '1 month' - interval '1 day')"
        condition = f"{text} ~* '{_DATE}' and {day} between 1 and {last_day}"
        call.replace(
            exp.maybe_parse(f"case when {condition} then {first} + {day} - 1 end", dialect="postgres")
        )


def series_function(tree: exp.Query, _: Tables) -> None:
    """`generate_series` returns rows, not a list, and there is no `range`: select from the function itself."""
    for unnest in list(tree.find_all(exp.Unnest)):
        [series] = unnest.expressions
        if isinstance(series, exp.GenerateSeries):
            start, end = series.args["start"], series.args["end"]
            if series.args.get("is_end_exclusive"):
                end = exp.Sub(this=end, expression=exp.Literal.number(1))
            step = series.args.get("step")
            arguments = [each.copy() for each in (start, end, step) if each]
            alias = unnest.args["alias"].copy()
            unnest.replace(exp.Table(this=function("GENERATE_SERIES", *arguments), alias=alias))


def json_of_text(tree: exp.Query, _: Tables) -> None:
    """A JSON column may be text or jsonb, depending on how it was loaded. Cast it to json first."""
    for access in tree.find_all(exp.JSONExtractScalar):
        if not isinstance(access.this, exp.Cast):
            access.set("this", exp.cast(access.this.copy(), "json"))


def number_format(tree: exp.Query, _: Tables) -> None:
    """`format('{:,}', n)` is `to_char`."""
    for call in list(tree.find_all(exp.Format)):
        number = thousands(call)
        if number is not None:
            pattern = exp.Literal.string("FM999,999,999,999,999,990")
            call.replace(function("TO_CHAR", number.copy(), pattern))


def names_of_days(tree: exp.Query, _: Tables) -> None:
    """`dayname`, `monthname`: `to_char` writes them."""
    for call in list(tree.find_all(exp.Dayname, exp.Monthname)):
        pattern = "FMDay" if isinstance(call, exp.Dayname) else "FMMonth"
        call.replace(function("TO_CHAR", call.this.copy(), exp.Literal.string(pattern)))


def differences(tree: exp.Query, _: Tables) -> None:
    """`date_diff` is a subtraction: of dates in days, of instants in any time zone in seconds."""
    for call in list(tree.find_all(exp.DateDiff)):
        apart = exp.paren(exp.Sub(this=_side(call.this), expression=_side(call.expression)))
        if unit_of(call) == "DAY":
            call.replace(exp.cast(apart, "bigint"))
        else:
            seconds = exp.Extract(this=exp.var("EPOCH"), expression=apart)
            thousand = exp.Literal.number(1000)
            call.replace(exp.cast(exp.Mul(this=seconds, expression=thousand), "bigint"))


def _side(value: exp.Expr) -> exp.Expr:
    return exp.paren(value.copy()) if isinstance(value, exp.Binary) else value.copy()


def pattern_of_text(tree: exp.Query, _: Tables) -> None:
    """`regexp_extract(text, pattern)` is `substring(text from pattern)`, null instead of '' without a match."""
    for call in list(tree.find_all(exp.RegexpExtract)):
        found = function("SUBSTRING", call.this.copy(), call.expression.copy())
        call.replace(exp.func("coalesce", found, exp.Literal.string("")))


def parts_of_dates(tree: exp.Query, _: Tables) -> None:
    """`make_date` takes integers, and `isodow` is `extract(isodow from ...)`."""
    for made in list(tree.find_all(exp.DateFromParts)):
        parts = [exp.cast(made.args[part].copy(), "int") for part in ("year", "month", "day")]
        made.replace(function("MAKE_DATE", *parts))
    for call in list(tree.find_all(exp.DayOfWeekIso)):
        call.replace(exp.Extract(this=exp.var("ISODOW"), expression=call.this.copy()))


def microseconds(tree: exp.Query, _: Tables) -> None:
    """`epoch_us` is `extract(epoch from ...)`, which is in seconds."""
    for call in named_calls(tree, "epoch_us"):
        seconds = exp.Extract(this=exp.var("EPOCH"), expression=call.expressions[0].copy())
        million = exp.Literal.number(1_000_000)
        call.replace(exp.cast(exp.Mul(this=seconds, expression=million), "bigint"))
