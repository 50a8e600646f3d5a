"""Rewrites for Trino, with the session time zone UTC."""

from __future__ import annotations

import re

from sqlglot import exp

from dbt_like_sql.export.dialects.common import function, named_calls, parsed_texts, thousands
from dbt_like_sql.export.dialects.stars import Tables

_FORMATS = {"%b %d, %Y": "%b %e, %Y", "%B %d, %Y": "%M %e, %Y"}
_DAY = re.compile(r".*_(day|date|on)|period_(start|end)")
"""Names of columns that are dates."""


def greatest_of_array(tree: exp.Query, _: Tables) -> None:
    """`greatest` and `least` are null if one value is. Take the largest or smallest of an array without nulls."""
    for call in list(tree.find_all(exp.Greatest, exp.Least)):
        values = exp.Array(expressions=[each.copy() for each in (call.this, *call.expressions)])
        present = exp.Is(this=exp.column("each_value"), expression=exp.Not(this=exp.null()))
        kept = function(
            "FILTER", values, exp.Lambda(this=present, expressions=[exp.to_identifier("each_value")])
        )
        call.replace(function("ARRAY_MAX" if isinstance(call, exp.Greatest) else "ARRAY_MIN", kept))


def days_added(tree: exp.Query, _: Tables) -> None:
    """A number of days cannot be added to a date. Use `date_add`."""
    for total in reversed(list(tree.find_all(exp.Add, exp.Sub))):
        days = total.expression
        if _is_day(total.this) and not (isinstance(days, exp.Interval) or days.find(exp.Interval)):
            count = exp.Neg(this=exp.paren(days.copy())) if isinstance(total, exp.Sub) else days.copy()
            total.replace(function("DATE_ADD", exp.Literal.string("day"), count, total.this.copy()))


def _is_day(value: exp.Expr) -> bool:
    if isinstance(value, exp.Column):
        return bool(_DAY.fullmatch(value.name))
    if isinstance(value, exp.Cast):
        return value.is_type(exp.DataType.Type.DATE)
    if isinstance(value, exp.Window | exp.Paren | exp.Lead | exp.Lag | exp.Coalesce | exp.Max | exp.Min):
        return _is_day(value.this)
    return isinstance(value, exp.Anonymous) and value.name in ("DATE_ADD", "ARRAY_MIN", "ARRAY_MAX")


def instant_of_local_time(tree: exp.Query, _: Tables) -> None:
    """`local::timestamp at time zone z` is `with_timezone`."""
    for call in list(tree.find_all(exp.AtTimeZone)):
        if isinstance(call.this, exp.Cast):
            call.replace(function("WITH_TIMEZONE", call.this.copy(), call.args["zone"].copy()))


def parsed_dates(tree: exp.Query, _: Tables) -> None:
    """`try_strptime` is `date_parse` in `try`, which takes one format."""
    for call, text, formats in parsed_texts(tree):
        tries = [
            function("TRY", function("DATE_PARSE", text.copy(), exp.Literal.string(_FORMATS[each])))
            for each in formats
        ]
        call.replace(exp.func("coalesce", *tries))


def text_functions(tree: exp.Query, _: Tables) -> None:
    """`format('{:,}', n)` is `format`; `dayname` and `monthname` are `date_format`; `md5` takes bytes."""
    for call in list(tree.find_all(exp.Format)):
        number = thousands(call)
        if number is not None:
            whole = exp.cast(number.copy(), "bigint")
            call.replace(function("FORMAT", exp.Literal.string("%,d"), whole))
    for name in list(tree.find_all(exp.Dayname, exp.Monthname)):
        pattern = "%W" if isinstance(name, exp.Dayname) else "%M"
        name.replace(function("DATE_FORMAT", name.this.copy(), exp.Literal.string(pattern)))
    for digest in tree.find_all(exp.MD5):
        digest.set("this", function("TO_UTF8", digest.this.copy()))


def date_functions(tree: exp.Query, _: Tables) -> None:
    """`make_date` is a text in ISO's format, and `epoch_us` a number of seconds."""
    for made in list(tree.find_all(exp.DateFromParts)):
        parts = [made.args[part].copy() for part in ("year", "month", "day")]
        text = function("FORMAT", exp.Literal.string("%04d-%02d-%02d"), *parts)
        made.replace(function("FROM_ISO8601_DATE", text))
    for call in named_calls(tree, "epoch_us"):
        seconds = function("TO_UNIXTIME", call.expressions[0].copy())
        micros = exp.Mul(this=seconds, expression=exp.Literal.number(1_000_000))
        call.replace(exp.cast(micros, "bigint"))


def whole_division(tree: exp.Query, _: Tables) -> None:
    """A cast to an integer rounds. `a // b` is the floor of the quotient."""
    for division in list(tree.find_all(exp.IntDiv)):
        quotient = exp.Div(
            this=exp.cast(division.this.copy(), "double"), expression=division.expression.copy()
        )
        quotient.set("typed", True)
        division.replace(exp.cast(exp.Floor(this=quotient), "bigint"))
