"""Rewrites that several engines need. Each changes a parsed query in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlglot import exp

from dbt_like_sql.export.dialects.stars import Tables, spell_out


def explicit_columns(tree: exp.Query, tables: Tables) -> None:
    """`* exclude`, `* replace`, `union by name`: only DuckDB has all of them. List the columns instead."""
    spell_out(tree, tables)


def plain_english(tree: exp.Query, _: Tables) -> None:
    """`is not null` would be written as `not x is null`, and the comment of a CTE between its name and its query."""
    for negation in list(tree.find_all(exp.Not)):
        test = negation.this
        if isinstance(test, exp.Is) and isinstance(test.expression, exp.Null):
            negation.replace(exp.Is(this=test.this.copy(), expression=exp.Not(this=exp.null())))
    for cte in tree.find_all(exp.CTE):
        for part in (cte, cte.args["alias"], cte.args["alias"].this):
            if part.comments:
                cte.this.add_comments(part.pop_comments(), prepend=True)


def divide_as_double(tree: exp.Query, _: Tables) -> None:
    """`a / b` of integers or decimals is a double in DuckDB, elsewhere truncated or rounded. Cast the dividend."""
    for division in list(tree.find_all(exp.Div)):
        left, right = division.this, division.expression
        if not (isinstance(left, exp.Cast) and left.is_type(exp.DataType.Type.DOUBLE)):
            left.replace(exp.cast(left.copy(), exp.DataType.Type.DOUBLE))
        # The cast decides; sqlglot adds no other one, and no second nullif().
        division.set("typed", True)
        if isinstance(right, exp.Nullif):
            division.set("safe", False)


def group_by_expressions(tree: exp.Query, _: Tables) -> None:
    """`group by all` is not known. List the expressions that are no aggregates."""
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        if group and group.args.get("all"):
            keys = [each.unalias().copy() for each in select.expressions if not each.find(exp.AggFunc)]
            select.set("group", exp.Group(expressions=keys))


def months_apart(tree: exp.Query, _: Tables) -> None:
    """`date_diff('month', a, b)` counts whole months elsewhere, in DuckDB the changes of month. Subtract the months."""
    for call in list(tree.find_all(exp.DateDiff)):
        if unit_of(call) == "MONTH":
            until, since = _month_number(call.this), _month_number(call.expression)
            call.replace(exp.paren(exp.Sub(this=until, expression=since)))


def _month_number(date: exp.Expr) -> exp.Expr:
    year, month = exp.Extract(this=exp.var("YEAR"), expression=date.copy()), exp.var("MONTH")
    months = exp.Mul(this=year, expression=exp.Literal.number(12))
    return exp.paren(exp.Add(this=months, expression=exp.Extract(this=month, expression=date.copy())))


def aggregate_of_case(tree: exp.Query, _: Tables) -> None:
    """`filter (where ...)` of an aggregate is not known. Aggregate `case when ... then ... end`."""
    for kept in list(tree.find_all(exp.Filter)):
        aggregate, condition = kept.this, kept.expression.this
        value = aggregate.this
        while isinstance(value, exp.Order | exp.Distinct):
            value = value.expressions[0] if isinstance(value, exp.Distinct) else value.this
        counted = exp.Literal.number(1) if isinstance(value, exp.Star) else value.copy()
        value.replace(exp.Case(ifs=[exp.If(this=condition.copy(), true=counted)]))
        kept.replace(aggregate.copy())


def greatest_row_without_nulls(tree: exp.Query, _: Tables) -> None:
    """`arg_max(a, b)` skips rows where `a` is null, `max_by` does not. Make the key null there."""
    for call in list(tree.find_all(exp.ArgMax, exp.ArgMin)):
        present = exp.Not(this=exp.Is(this=call.this.copy(), expression=exp.null()))
        key = call.expression
        key.replace(exp.Case(ifs=[exp.If(this=present, true=key.copy())]))


def compare_one_by_one(tree: exp.Query, _: Tables) -> None:
    """`(a, b) < (c, d)` is not known. Compare the first values, and the next ones if the first are equal."""
    for comparison in list(tree.find_all(exp.LT)):
        left, right = comparison.this, comparison.expression
        if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
            comparison.replace(_lexicographic(left.expressions, right.expressions))


def _lexicographic(left: list[exp.Expr], right: list[exp.Expr]) -> exp.Expr:
    less: exp.Expr = exp.LT(this=left[0].copy(), expression=right[0].copy())
    if len(left) == 1:
        return less
    equal = exp.EQ(this=left[0].copy(), expression=right[0].copy())
    rest = _lexicographic(left[1:], right[1:])
    return exp.paren(exp.or_(less, exp.and_(equal, rest)))


def named_subqueries(tree: exp.Query, _: Tables) -> None:
    """A subquery in FROM must have a name. Call it `derived`."""
    for subquery in tree.find_all(exp.Subquery):
        if isinstance(subquery.parent, exp.From | exp.Join) and not subquery.alias:
            subquery.set("alias", exp.TableAlias(this=exp.to_identifier("derived")))


def last_instant(tree: exp.Query, _: Tables) -> None:
    """There is no timestamp 'infinity'. Use the last second of the year 9999."""
    for text in list(tree.find_all(exp.Literal)):
        if text.is_string and text.name == "infinity":
            text.replace(exp.Literal.string("9999-12-31 23:59:59+00:00"))


def full_join_by_equality(tree: exp.Query, _: Tables) -> None:
    """A FULL JOIN needs equalities. `a is not distinct from b` of ids is an equality of `coalesce(id, -1)`."""
    for join in tree.find_all(exp.Join):
        if join.side.upper() == "FULL" and join.args.get("on"):
            for same in list(join.args["on"].find_all(exp.NullSafeEQ)):
                sides = [
                    exp.func("coalesce", each.copy(), exp.Literal.number(-1))
                    for each in (same.this, same.expression)
                ]
                same.replace(exp.EQ(this=sides[0], expression=sides[1]))


def function(name: str, *arguments: exp.Expr) -> exp.Expr:
    """Call a function by the name that the engine has for it."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def thousands(call: exp.Format) -> exp.Expr | None:
    """Return `n` of `format('{:,}', n)`, None for another format."""
    return call.expressions[0] if call.this.name == "{:,}" else None


def key_parts(key: exp.Expr) -> Iterable[exp.Expr]:
    """Return the values of a key that may be a row."""
    return key.expressions if isinstance(key, exp.Tuple) else [key]


def parsed_texts(tree: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Expr, list[str]]]:
    """Yield each `try_strptime(text, [formats])` with its text and formats."""
    for call in named_calls(tree, "try_strptime"):
        text, formats = call.expressions
        yield call, text, [each.name for each in formats.expressions]


def unit_of(call: exp.Expr) -> str:
    """Return the unit of a date function in capitals: "MONTH"."""
    unit = call.args.get("unit")
    return str(unit.name).upper() if unit else ""


def named_calls(tree: exp.Expr, name: str) -> list[exp.Anonymous]:
    """Return the calls of a function that sqlglot does not know."""
    return [call for call in tree.find_all(exp.Anonymous) if call.name.lower() == name]
