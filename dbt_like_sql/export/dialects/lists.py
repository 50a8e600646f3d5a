"""Rewrites for engines without `median`, `percentile_disc`, or a `greatest` that skips nulls: lists instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dbt_like_sql.export.dialects.common import function, key_parts
from dbt_like_sql.export.dialects.stars import Tables


@dataclass(frozen=True)
class Lists:
    """How an engine makes a sorted list of the values that are not null, and returns one of them."""

    collect: Callable[[exp.Expr, Sequence[exp.Ordered]], exp.Expr]
    """(value, order) -> list."""
    nth: Callable[[exp.Expr, exp.Expr], exp.Expr]
    """(list, position that begins at 0) -> value, or null after the end."""


def _array_of_bigquery(value: exp.Expr, order: Sequence[exp.Ordered]) -> exp.Expr:
    ordered = exp.Order(this=value.copy(), expressions=list(order))
    return exp.IgnoreNulls(this=exp.ArrayAgg(this=ordered))


def _array_of_trino(value: exp.Expr, order: Sequence[exp.Ordered]) -> exp.Expr:
    ordered = exp.Order(this=value.copy(), expressions=list(order))
    present = exp.Is(this=value.copy(), expression=exp.Not(this=exp.null()))
    return exp.Filter(this=exp.ArrayAgg(this=ordered), expression=exp.Where(this=present))


BIGQUERY = Lists(
    _array_of_bigquery,
    lambda values, position: exp.Bracket(this=values, expressions=[position], offset=0, safe=True),
)
TRINO = Lists(
    _array_of_trino,
    lambda values, position: function(
        "ELEMENT_AT", values, exp.Add(this=position, expression=exp.Literal.number(1))
    ),
)


def percentiles(lists: Lists) -> Callable[[exp.Query, Tables], None]:
    """Return the rewrite of `median` and `percentile_disc` for an engine."""

    def by_position(tree: exp.Query, _: Tables) -> None:
        """No exact `median` or `percentile_disc` of groups: take the values at their places in a sorted list."""
        for call in list(tree.find_all(exp.Median)):
            value = call.this
            count = exp.Count(this=value.copy())
            before = exp.Sub(this=count.copy(), expression=exp.Literal.number(1))
            low, high = (lists.nth(_sorted(value, lists), _half(each)) for each in (before, count))
            both = exp.cast(exp.paren(exp.Add(this=low, expression=high)), "double")
            call.replace(exp.Div(this=both, expression=exp.Literal.number(2), typed=True))
        for group in list(tree.find_all(exp.WithinGroup)):
            if isinstance(group.this, exp.PercentileDisc):
                value = group.expression.expressions[0].this
                count = exp.Count(this=value.copy())
                rank = exp.Ceil(this=exp.Mul(this=group.this.this.copy(), expression=count))
                position = exp.Sub(this=exp.cast(rank, "bigint"), expression=exp.Literal.number(1))
                group.replace(lists.nth(_sorted(value, lists), position))

    return by_position


def _sorted(value: exp.Expr, lists: Lists) -> exp.Expr:
    return lists.collect(value, [exp.Ordered(this=value.copy())])


def _half(number: exp.Expr) -> exp.Expr:
    halved = exp.Div(this=exp.cast(exp.paren(number.copy()), "double"), expression=exp.Literal.number(2))
    halved.set("typed", True)
    return exp.cast(exp.Floor(this=halved), "bigint")


def first_by_row(lists: Lists) -> Callable[[exp.Query, Tables], None]:
    """Return the rewrite of `arg_max(value, (a, b))` for an engine."""

    def first_of_list(tree: exp.Query, _: Tables) -> None:
        """`max_by` does not compare rows: take the first value of a list sorted by them."""
        for call in list(tree.find_all(exp.ArgMax, exp.ArgMin)):
            key = call.expression
            if isinstance(key, exp.Tuple):
                descending = isinstance(call, exp.ArgMax)
                keys = [exp.Ordered(this=part.copy(), desc=descending) for part in key_parts(key)]
                call.replace(lists.nth(lists.collect(call.this, keys), exp.Literal.number(0)))

    return first_of_list
