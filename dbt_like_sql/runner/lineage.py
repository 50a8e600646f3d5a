"""Table and column lineage of a SELECT: the tables it reads, and the origins of each output column.

The only module of the runner that uses sqlglot; `export.dialects` writes other dialects with it.
sqlglot's own `lineage()` re-qualifies the whole query for each column; here a single walk over the tree
finds tables and columns, with DuckDB's scoping rules (tests compare the result with DuckDB's own parser).

If the columns cannot be known from the text alone (`columns(...)`, a star over a table
function), the relation is *open*: it may have more columns than those listed. That is not an
error here; DuckDB reports a wrong column name when the model runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath

import sqlglot.errors
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

from dbt_like_sql.runner.errors import ProjectError
from dbt_like_sql.runner.relation import NONE, Origin, Origins, Reference, Relation, table
from dbt_like_sql.runner.syntax import check_syntax

Query = exp.Query
"""Parsed SELECT, the input of `references` and `output_columns`."""


def parse(sql: str, path: PurePath) -> Query:
    """Parse the text of a file that must hold exactly one SELECT.

    Raises:
        ProjectError: it holds something else, or SQL that sqlglot cannot parse.
    """
    check_syntax(sql, path)
    try:
        tree = DuckDB().parse(sql)[0]
    except sqlglot.errors.ParseError as error:
        where = error.errors[0] if error.errors else {}
        raise ProjectError(
            f"{path}, line {where.get('line', '?')}, column {where.get('col', '?')}: DuckDB accepts "
            f"this SQL, but the lineage parser does not, near {where.get('highlight', '')!r}. "
            "Rewrite this part of the query."
        ) from None
    if not isinstance(tree, exp.Query):
        raise ProjectError(f"{path} is not a plain SELECT. Write one SELECT.")
    return tree


def references(query: Query) -> tuple[Reference, ...]:
    """List the tables that a query reads, without CTEs, ordered by line."""
    scope = _Scope({})
    _query(query, scope)
    return tuple(sorted(scope.references, key=lambda r: (r.line, r.name)))


def output_columns(query: Query, known: Mapping[str, Relation]) -> Relation:
    """Return the columns of a query with their origins, and the columns that determine its rows.

    `known` holds the relation of each table by its name in SQL.
    """
    scope = _Scope(known)
    relation = _query(query, scope)
    return replace(relation, conditions=frozenset(scope.conditions))


def is_grouped(query: Query) -> bool:
    """Return whether each row of a SELECT is a group of rows: it has a GROUP BY, or only aggregates."""
    return isinstance(query, exp.Select) and (
        query.args.get("group") is not None
        or all(part.find(exp.AggFunc) and not part.find(exp.Window) for part in query.expressions)
    )


# The walk: one function for each kind of node, which returns the relation that the node produces.


@dataclass(frozen=True)
class _Source:
    """Table or subquery in a FROM clause, with the names that qualify its columns."""

    alias: str
    relation: Relation
    qualified: str = ""


@dataclass
class _Scope:
    """Names that are visible in one part of a query."""

    tables: Mapping[str, Relation]
    references: set[Reference] = field(default_factory=set)
    conditions: set[Origin] = field(default_factory=set)
    ctes: Mapping[str, Relation] = field(default_factory=dict)
    sources: list[_Source] = field(default_factory=list)
    merged: dict[str, Origins] = field(default_factory=dict)
    """Columns joined by USING, which appear once in the result."""
    aliases: dict[str, Origins] = field(default_factory=dict)
    """Columns of the same SELECT, which later expressions may use in DuckDB."""
    parent: _Scope | None = None

    def inner(self) -> _Scope:
        return replace(self, sources=[], merged={}, aliases={}, parent=self)

    def with_cte(self, name: str, relation: Relation) -> _Scope:
        return replace(self, ctes={**self.ctes, name: relation})


def _query(node: exp.Expr, scope: _Scope) -> Relation:
    scope = _with_ctes(node, scope)
    if isinstance(node, exp.Select):
        return _select(node, scope.inner())
    if isinstance(node, exp.SetOperation):
        left, right = _query(node.this, scope.inner()), _query(node.expression, scope.inner())
        scope.conditions |= _expressions(node, scope.inner(), skip=("this", "expression", "with_"))
        if _compares_rows(node):
            scope.conditions |= left.all_origins() | right.all_origins()
        return _union(left, right, by_name=bool(node.args.get("by_name")))
    if isinstance(node, exp.Subquery):
        relation = _query(node.this, scope.inner())
        _expressions(node, scope.inner(), skip=("this", "with_", "alias", "joins", "pivots"))
        return relation
    if isinstance(node, exp.Values):
        rows = [[_expression(e, scope) for e in row.expressions] for row in node.expressions]
        return Relation({f"col{i}": NONE.union(*column) for i, column in enumerate(zip(*rows, strict=False))})
    # What is left is a PIVOT; its output columns depend on the data.
    inner = scope.inner()
    _source(node.this, inner)
    rest = _expressions(node, inner, skip=("this", "alias")) | _star(inner).all_origins()
    scope.conditions |= rest
    return Relation({}, is_open=True, rest=rest)


def _with_ctes(node: exp.Expr, scope: _Scope) -> _Scope:
    with_ = node.args.get("with_")
    if not isinstance(with_, exp.With):
        return scope
    for cte in with_.expressions:
        name = cte.alias.lower()
        body = cte.this
        # In DuckDB, only the second half of a UNION in WITH RECURSIVE can read the CTE itself.
        if with_.args.get("recursive") and isinstance(body, exp.Union):
            relation = _recursive(cte, name, body, _with_ctes(body, scope))
        else:
            relation = _renamed(_query(body, scope.inner()), cte)
        scope = scope.with_cte(name, relation)
    return scope


def _recursive(cte: exp.CTE, name: str, body: exp.Union, scope: _Scope) -> Relation:
    anchor = _query(body.this, scope.inner())
    relation = _renamed(anchor, cte)
    # Each iteration carries an origin at most one column further, so this takes at most one per column.
    for _ in range(len(relation.columns) + 1):
        step = _query(body.expression, scope.with_cte(name, relation).inner())
        grown = _renamed(_union(anchor, step, by_name=bool(body.args.get("by_name"))), cte)
        if grown == relation:
            break
        relation = grown
    if _compares_rows(body):
        scope.conditions |= relation.all_origins()
    return relation


def _select(node: exp.Select, scope: _Scope) -> Relation:
    from_ = node.args.get("from_")
    if from_:
        _source(from_.this, scope)
    _joins(node, scope)
    parts = [_projection(p, scope) for p in node.expressions]
    scope.conditions |= _expressions(node, scope, skip=("with_", "from_", "joins", "expressions"))
    output = _side_by_side(parts)
    if _compares_rows(node):
        scope.conditions |= output.all_origins()
    return output


def _compares_rows(node: exp.Expr) -> bool:
    """Return whether all output columns of a query determine its rows, also those that nothing reads later."""
    if isinstance(node, exp.SetOperation):
        return not isinstance(node, exp.Union) or bool(node.args.get("distinct"))
    if any(node.args.get(part) for part in ("distinct", "limit", "offset", "sample")):
        return True
    group = node.args.get("group")
    by_place = group and (group.args.get("all") or any(isinstance(e, exp.Literal) for e in group.expressions))
    # unnest() in the list of columns makes rows.
    return bool(by_place) or any(p.find(exp.Explode, exp.Unnest) for p in node.expressions)


def _projection(node: exp.Expr, scope: _Scope) -> Relation:
    expression = node.unalias()
    if isinstance(expression, exp.Star):
        return _starred(expression, _star(scope), scope)
    if isinstance(expression, exp.Column) and isinstance(expression.this, exp.Star):
        of = expression.table.lower()
        if of not in [source.alias for source in scope.sources]:  # the fields of a struct
            return Relation({}, is_open=True, rest=_column([of], scope))
        return _starred(expression.this, _star(scope, of), scope)
    origins = _expression(expression, scope)
    if expression.find(exp.Columns):
        return Relation({}, is_open=True, rest=origins)
    name = node.alias or (expression.name if isinstance(expression, exp.Column) else "")
    relation = Relation({(name or node.sql("duckdb")).lower(): origins}, is_open=not name)
    if name:  # DuckDB generates a name for an expression without one
        scope.aliases.setdefault(name.lower(), origins)
    return relation


def _side_by_side(parts: list[Relation]) -> Relation:
    columns: dict[str, Origins] = {}
    for part in parts:
        for name, origins in part.columns.items():
            columns.setdefault(name, origins)  # DuckDB renames a second column of the same name
    return Relation(
        columns,
        any(part.is_open for part in parts),
        frozenset().union(*(part.open_tables for part in parts)),
        NONE.union(*(part.rest for part in parts)),
    )


def _joins(node: exp.Expr, scope: _Scope) -> None:
    for join in node.args.get("joins") or ():
        before = _side_by_side([_star(scope)])
        _source(join.this, scope)
        after = scope.sources[-1].relation
        for key in join.args.get("using") or ():
            name = key.name.lower()
            left, right = before.origins(name), after.origins(name)
            scope.conditions |= left | right
            # The result has the left value, in a right join the right one, in a full join the one that is not null.
            side = join.side.upper()
            scope.merged[name] = right if side == "RIGHT" else left | right if side == "FULL" else left
        scope.conditions |= _expressions(join, scope, skip=("this", "using"))
        if join.method.upper() == "NATURAL":
            scope.conditions |= before.all_origins() | after.all_origins()


def _source(node: exp.Expr, scope: _Scope) -> None:
    """Add an item of a FROM or JOIN to the scope. It can read the sources before it (lateral)."""
    alias, qualified = node.alias.lower(), ""
    inside = node.this
    if isinstance(node, exp.Subquery) and isinstance(inside, exp.Table | exp.Subquery):
        if not alias:  # parentheses around a join; the tables inside keep their names
            _source(inside, scope)
            _joins(node, scope)
            return
        inner = scope.inner()
        _source(inside, inner)
        relation = _star(inner)
    elif isinstance(node, exp.Table) and isinstance(inside, exp.Identifier):
        relation = _table(node, scope)
        qualified = "" if alias else ".".join(p.name for p in node.parts).lower()
        alias = alias or node.name.lower()
    elif isinstance(node, exp.Query | exp.Values):
        relation = _query(node, scope)
    elif isinstance(node, exp.Table | exp.Lateral) and isinstance(inside, exp.Query | exp.Values):
        relation = _query(inside, scope)
    else:  # a table function; any of its columns may come from any of its arguments
        rest = _expressions(node, scope, skip=("alias", "joins", "pivots"))
        scope.conditions |= rest
        relation = Relation({}, is_open=True, rest=rest)
    relation = _renamed(relation, node)
    for pivot in node.args.get("pivots") or ():
        _expressions(pivot, scope.inner(), skip=("alias",))
        alias = pivot.alias.lower() or alias
        relation = Relation({}, is_open=True, rest=relation.all_origins())
    scope.sources.append(_Source(alias, relation, qualified))
    _joins(node, scope)


def _table(node: exp.Table, scope: _Scope) -> Relation:
    name = ".".join(part.name for part in node.parts).lower()
    if len(node.parts) == 1 and name in scope.ctes:
        return scope.ctes[name]
    scope.references.add(Reference(name, node.this.meta.get("line", 1)))
    return scope.tables.get(name) or table(name, (), is_open=True)


def _renamed(relation: Relation, node: exp.Expr) -> Relation:
    """Apply the column names of `... as t(a, b)`."""
    alias = node.args.get("alias")
    columns = alias.args.get("columns") if isinstance(alias, exp.TableAlias) else None
    if not columns:
        return relation
    names = [c.name.lower() for c in columns]
    if not relation.columns:  # a table function; the alias names its columns
        return Relation(dict.fromkeys(names, relation.rest))
    names += list(relation.columns)[len(names) :]
    return replace(relation, columns=dict(zip(names, relation.columns.values(), strict=False)))


def _union(left: Relation, right: Relation, *, by_name: bool) -> Relation:
    if by_name:
        names = [*left.columns, *(c for c in right.columns if c not in left.columns)]
        pairs = [(left.columns.get(n, NONE), right.columns.get(n, NONE)) for n in names]
    else:
        names = list(left.columns)
        others = list(right.columns.values()) + [NONE] * len(names)
        pairs = list(zip(left.columns.values(), others, strict=False))
    both = _side_by_side([left, right])
    return replace(both, columns={n: a | b for n, (a, b) in zip(names, pairs, strict=True)})


def _star(scope: _Scope, of: str | None = None) -> Relation:
    star = _side_by_side([s.relation for s in scope.sources if of in (None, s.alias)])
    if of is None:
        return replace(star, columns={**star.columns, **scope.merged})
    return star


def _starred(star: exp.Star, relation: Relation, scope: _Scope) -> Relation:
    """Apply `* exclude (...) replace (...) rename (...)`."""
    dropped = {e.name.lower() for e in star.args.get("except_") or ()}
    replaced = {e.alias.lower(): _expression(e.this, scope) for e in star.args.get("replace") or ()}
    renamed = {e.this.name.lower(): e.alias.lower() for e in star.args.get("rename") or ()}
    columns = {
        renamed.get(name, name): replaced.get(name, origins)
        for name, origins in relation.columns.items()
        if name not in dropped
    }
    return replace(relation, columns=columns)


def _expressions(node: exp.Expr, scope: _Scope, skip: tuple[str, ...]) -> Origins:
    found: Origins = NONE
    for key, value in node.args.items():
        if key not in skip:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, exp.Expr):
                    found |= _expression(child, scope)
    return found


def _expression(node: exp.Expr, scope: _Scope) -> Origins:
    """Return the columns that an expression reads, including those that its subqueries return."""
    found: set[Origin] = set()
    todo = [node]
    while todo:
        part = todo.pop()
        if isinstance(part, exp.Column):
            found |= _column([p.name.lower() for p in part.parts], scope)
        elif isinstance(part, exp.Exists) and isinstance(part.this, exp.Query):
            _query(part.this, scope)  # only tests whether rows exist; no column of it is read
        elif isinstance(part, exp.Query):
            found |= _query(part, scope).all_origins()
        elif isinstance(part, exp.Dot) and isinstance(part.this, exp.Identifier):
            found |= _column([part.this.name.lower()], scope)  # `name.lower()`
            todo.append(part.expression)
        else:
            todo.extend(part.iter_expressions())
    return frozenset(found)


def _column(parts: list[str], scope: _Scope) -> Origins:
    """Look up a column: `a`, `t.a` or `schema.t.a`, optionally followed by fields of a struct."""
    name = parts[0]
    for visible in _outwards(scope):
        for source in reversed(visible.sources):
            if source.alias == name and len(parts) > 1:
                return source.relation.origins(parts[1])
            if source.qualified == ".".join(parts[:2]) and len(parts) > 2:
                return source.relation.origins(parts[2])
        if name in visible.merged:
            return visible.merged[name]
        for source in visible.sources:
            if name in source.relation.columns:
                return source.relation.columns[name]
        if name in visible.aliases:
            return visible.aliases[name]
    for visible in _outwards(scope):
        for source in visible.sources:
            if source.alias == name:
                return source.relation.all_origins()  # a whole row as one value
        for source in visible.sources:
            if source.relation.is_open:
                return source.relation.origins(name)
    return NONE


def _outwards(scope: _Scope) -> Iterator[_Scope]:
    visible: _Scope | None = scope
    while visible:
        yield visible
        visible = visible.parent
