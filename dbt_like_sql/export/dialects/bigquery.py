"""Rewrites for BigQuery."""

from __future__ import annotations

from sqlglot import exp

from dbt_like_sql.export.dialects.common import function, named_calls, parsed_texts, thousands, unit_of
from dbt_like_sql.export.dialects.stars import Tables

_WEEKDAY = "mod(extract(dayofweek from {}) + 5, 7) + 1"


def greatest_of_list(tree: exp.Query, _: Tables) -> None:
    """`greatest` and `least` are null if one value is. Take the largest or smallest of a list, which skips nulls."""
    for call in list(tree.find_all(exp.Greatest, exp.Least)):
        values = exp.Unnest(
            expressions=[exp.Array(expressions=[each.copy() for each in (call.this, *call.expressions)])],
            alias=exp.TableAlias(columns=[exp.to_identifier("each_value")]),
        )
        best = exp.Max if isinstance(call, exp.Greatest) else exp.Min
        call.replace(exp.Subquery(this=exp.select(best(this=exp.column("each_value"))).from_(values)))


def rounded_decimals(tree: exp.Query, _: Tables) -> None:
    """A cast to a decimal has no number of digits. Round to them."""
    for cast in list(tree.find_all(exp.Cast, exp.TryCast)):
        digits = cast.to.expressions
        if cast.to.is_type(exp.DataType.Type.DECIMAL) and len(digits) == 2:
            number = cast.copy()
            number.set("to", exp.DataType.build("decimal"))
            cast.replace(exp.Round(this=number, decimals=digits[1].this.copy()))


def truncated_dates(tree: exp.Query, _: Tables) -> None:
    """`date_trunc` takes dates and timestamps; weeks begin on Sunday unless they are those of ISO."""
    for call in list(tree.find_all(exp.TimestampTrunc, exp.DateTrunc)):
        unit = unit_of(call)
        call.replace(function("DATE_TRUNC", call.this.copy(), exp.var("ISOWEEK" if unit == "WEEK" else unit)))


def instant_of_local_time(tree: exp.Query, _: Tables) -> None:
    """`local::timestamp at time zone z` is `timestamp(local, z)`; an instant at a time zone `datetime(t, z)`."""
    for call in list(tree.find_all(exp.AtTimeZone)):
        value, zone = call.this, call.args["zone"].copy()
        if isinstance(value, exp.Cast):
            call.replace(function("TIMESTAMP", exp.cast(value.this.copy(), "date"), zone))
        else:
            call.replace(function("DATETIME", value.copy(), zone))


def parsed_dates(tree: exp.Query, _: Tables) -> None:
    """`try_strptime` is `safe.parse_date`, which takes one format."""
    for call, text, formats in parsed_texts(tree):
        tries = [function("SAFE.PARSE_DATE", exp.Literal.string(each), text.copy()) for each in formats]
        call.replace(exp.func("coalesce", *tries))


def text_functions(tree: exp.Query, _: Tables) -> None:
    """`format('{:,}', n)`, `dayname`, `monthname` are `format` and `format_date`; `split_part` a part of `split`."""
    for call in list(tree.find_all(exp.Format)):
        number = thousands(call)
        if number is not None:
            whole = exp.cast(number.copy(), "bigint")
            call.replace(function("FORMAT", exp.Literal.string("%'d"), whole))
    for name in list(tree.find_all(exp.Dayname, exp.Monthname)):
        pattern = "%A" if isinstance(name, exp.Dayname) else "%B"
        name.replace(function("FORMAT_DATE", exp.Literal.string(pattern), name.this.copy()))
    for part in list(tree.find_all(exp.SplitPart)):
        position = exp.Sub(this=part.args["part_index"].copy(), expression=exp.Literal.number(1))
        parts = function("SPLIT", part.this.copy(), part.args["delimiter"].copy())
        part.replace(exp.Bracket(this=parts, expressions=[position], offset=0, safe=True))


def date_functions(tree: exp.Query, _: Tables) -> None:
    """`year`, `month`, `isodow` and `epoch_us` have other names; timestamps have a difference of their own."""
    for part in list(tree.find_all(exp.Year, exp.Month)):
        part.replace(exp.Extract(this=exp.var(type(part).__name__.upper()), expression=part.this.copy()))
    for day in list(tree.find_all(exp.DayOfWeekIso)):
        day.replace(exp.maybe_parse(_WEEKDAY.format(day.this.sql("bigquery")), dialect="bigquery"))
    for call in named_calls(tree, "epoch_us"):
        call.replace(function("UNIX_MICROS", call.expressions[0].copy()))
    for apart in list(tree.find_all(exp.DateDiff)):
        if unit_of(apart) == "MILLISECOND":
            sides = [apart.this.copy(), apart.expression.copy()]
            apart.replace(function("TIMESTAMP_DIFF", *sides, exp.var("MILLISECOND")))


def series_column(tree: exp.Query, _: Tables) -> None:
    """`unnest(...)` gives a column, not a table: name it by itself, and make dates by `generate_date_array`."""
    for unnest in list(tree.find_all(exp.Unnest)):
        alias = unnest.args.get("alias")
        if not alias or not alias.this:
            continue
        for column in list(tree.find_all(exp.Column)):
            if column.table == alias.name:
                column.set("table", None)
        alias.set("this", None)
        for series in list(unnest.find_all(exp.GenerateSeries)):
            if series.args.get("step"):
                bounds = [series.args[part].copy() for part in ("start", "end", "step")]
                series.replace(function("GENERATE_DATE_ARRAY", *bounds))


def texts_joined(tree: exp.Query, _: Tables) -> None:
    """`||` joins only texts. Cast columns to text."""
    for joined in list(tree.find_all(exp.DPipe)):
        for side in (joined.this, joined.expression):
            if isinstance(side, exp.Column):
                side.replace(exp.cast(side.copy(), "varchar"))


def usual_order_of_nulls(tree: exp.Query, _: Tables) -> None:
    """Aggregates and named windows cannot put nulls last. Their keys are never null: leave the usual order."""
    for ordered in tree.find_all(exp.Ordered):
        order = ordered.parent
        inside = order.parent if order else None
        is_named = isinstance(inside, exp.Window) and isinstance(inside.parent, exp.Select)
        if (is_named or isinstance(inside, exp.AggFunc)) and not ordered.args.get("nulls_first"):
            ordered.set("nulls_first", not ordered.args.get("desc"))
