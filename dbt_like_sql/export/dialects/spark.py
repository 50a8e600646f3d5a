"""Rewrites for Spark 4 and Databricks, with the session time zone UTC."""

from __future__ import annotations

from sqlglot import exp

from dbt_like_sql.export.dialects.common import function, named_calls, parsed_texts, thousands
from dbt_like_sql.export.dialects.stars import Tables

_FORMATS = {"%b %d, %Y": "MMM d, yyyy", "%B %d, %Y": "MMMM d, yyyy"}


def instant_of_local_time(tree: exp.Query, _: Tables) -> None:
    """`local::timestamp at time zone z` is an instant: `to_utc_timestamp`. Only the reverse is `from_utc_timestamp`."""
    for call in list(tree.find_all(exp.AtTimeZone)):
        if isinstance(call.this, exp.Cast):
            local = exp.cast(call.this.this.copy(), "timestamptz")
            call.replace(function("TO_UTC_TIMESTAMP", local, call.args["zone"].copy()))


def guarded_sequence(tree: exp.Query, _: Tables) -> None:
    """`sequence(a, b)` fails where b is before a. Return no row there, like `generate_series`."""
    for series in list(tree.find_all(exp.GenerateSeries)):
        start, end, step = series.args["start"], series.args["end"], series.args.get("step")
        if series.args.get("is_end_exclusive"):
            end = exp.Sub(this=end, expression=exp.Literal.number(1))
        values = function("SEQUENCE", *(each.copy() for each in (start, end, step) if each))
        in_order = exp.LTE(this=start.copy(), expression=end.copy())
        series.replace(exp.Case(ifs=[exp.If(this=in_order, true=values)]))


def parsed_dates(tree: exp.Query, _: Tables) -> None:
    """`try_strptime` is `try_to_timestamp`, which takes one format and fails on no text."""
    for call, text, formats in parsed_texts(tree):
        tries = [
            function("TRY_TO_TIMESTAMP", exp.Trim(this=text.copy()), exp.Literal.string(_FORMATS[each]))
            for each in formats
        ]
        call.replace(exp.func("coalesce", *tries))


def number_format(tree: exp.Query, _: Tables) -> None:
    """`format('{:,}', n)` is `format_number`."""
    for call in list(tree.find_all(exp.Format)):
        number = thousands(call)
        if number is not None:
            call.replace(function("FORMAT_NUMBER", number.copy(), exp.Literal.number(0)))


def names_of_days(tree: exp.Query, _: Tables) -> None:
    """`dayname` and `monthname` are abbreviations. Write the whole name."""
    for call in list(tree.find_all(exp.Dayname, exp.Monthname)):
        pattern = "EEEE" if isinstance(call, exp.Dayname) else "MMMM"
        call.replace(function("DATE_FORMAT", call.this.copy(), exp.Literal.string(pattern)))


def monday_first(tree: exp.Query, _: Tables) -> None:
    """`isodow` is 1 on Monday: `weekday`, which is 0 then, plus one."""
    for call in list(tree.find_all(exp.DayOfWeekIso)):
        day = function("WEEKDAY", call.this.copy())
        call.replace(exp.paren(exp.Add(this=day, expression=exp.Literal.number(1))))


def windows_in_parentheses(tree: exp.Query, _: Tables) -> None:
    """`over w - x` is read as one name with a hyphen. Put the window function in parentheses."""
    for window in list(tree.find_all(exp.Window)):
        if window.alias and isinstance(window.parent, exp.Binary):
            window.replace(exp.paren(window.copy()))


def sorted_set(tree: exp.Query, _: Tables) -> None:
    """`string_agg(distinct x, ', ' order by x)` with a filter fails: join the sorted set."""
    for call in list(tree.find_all(exp.GroupConcat)):
        of = call.this.this if isinstance(call.this, exp.Order) else call.this
        if isinstance(of, exp.Distinct):
            values: exp.Expr = function("COLLECT_SET", of.expressions[0].copy())
            kept = call.parent if isinstance(call.parent, exp.Filter) else None
            if kept:
                values = exp.Filter(this=values, expression=kept.expression.copy())
            joined = function("ARRAY_JOIN", function("ARRAY_SORT", values), call.args["separator"].copy())
            (kept or call).replace(exp.func("nullif", joined, exp.Literal.string("")))


def microseconds(tree: exp.Query, _: Tables) -> None:
    """`epoch_us` is `unix_micros`."""
    for call in named_calls(tree, "epoch_us"):
        call.replace(function("UNIX_MICROS", call.expressions[0].copy()))


def numbers_of_texts(tree: exp.Query, _: Tables) -> None:
    """`try_cast` of a text to an integer knows neither decimals nor exponents, and does not round. Read a decimal."""
    for cast in list(tree.find_all(exp.TryCast)):
        if cast.to.is_type(exp.DataType.Type.BIGINT):
            number = exp.TryCast(this=cast.this.copy(), to=exp.DataType.build("decimal(38, 10)"))
            cast.set("this", exp.Round(this=number))


def exact_products(tree: exp.Query, _: Tables) -> None:
    """A product of decimals with more than 38 digits loses digits after the point. Give money 19 digits instead."""
    for product in tree.find_all(exp.Mul):
        money = product.this
        if isinstance(money, exp.Cast) and [each.name for each in money.to.expressions] == ["38", "4"]:
            money.set("to", exp.DataType.build("decimal(19, 4)"))


def rounded_integers(tree: exp.Query, _: Tables) -> None:
    """A cast to an integer cuts the digits after the point off. Round first."""
    for cast in list(tree.find_all(exp.Cast)):
        is_integer = type(cast) is exp.Cast and cast.to.is_type(exp.DataType.Type.BIGINT)
        if is_integer and not isinstance(cast.this, exp.Null):
            cast.set("this", exp.Round(this=cast.this.copy()))
