"""Output columns of queries by name, to spell out stars and unions that only DuckDB understands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp

Tables = Mapping[str, Sequence[str]]
"""Column names of each table, by its name in SQL: `schema.name`."""
Columns = dict[str, list[str]]


def spell_out(tree: exp.Query, tables: Tables) -> None:
    """Spell out the columns of `* exclude`, `* replace` and `union by name`, which few engines have."""
    _query(tree, {name: list(columns) for name, columns in tables.items()})


def _query(query: exp.Expr, known: Columns) -> list[str]:
    """Spell out a query and everything in it; return the names of its output columns."""
    known = dict(known)
    with_ = query.args.get("with_") or exp.With(expressions=[])
    for cte in with_.expressions:
        if with_.args.get("recursive") and isinstance(cte.this, exp.Union):
            known[cte.alias] = _query(cte.this.this, known)
        known[cte.alias] = _query(cte.this, known)
    if isinstance(query, exp.Subquery):
        return _query(query.this, known)
    if isinstance(query, exp.SetOperation):
        left, right = _query(query.this, known), _query(query.expression, known)
        if query.args.get("by_name"):
            query.set("by_name", None)
            _reorder(query.expression, left, right)
        return left
    return _select(query, known) if isinstance(query, exp.Select) else []


def _select(select: exp.Select, known: Columns) -> list[str]:
    sources = dict(_sources(select, known))
    names: list[str] = []
    projections: list[exp.Expr] = []
    for projection in select.expressions:
        star = projection.this if isinstance(projection, exp.Column) else projection
        if not isinstance(star, exp.Star):
            names.append(projection.alias_or_name)
            projections.append(projection)
            continue
        of = projection.table if isinstance(projection, exp.Column) else ""
        spelled = _star(star, of, sources)
        names += [each.alias_or_name for each in spelled]
        changed = any(star.args.get(part) for part in ("except_", "replace", "rename"))
        projections += spelled if changed else [projection]
    select.set("expressions", projections)
    for part in ("where", "having", "expressions"):
        for nested in _nested(select.args.get(part)):
            _query(nested, known)
    return names


def _nested(part: object) -> Iterator[exp.Query]:
    for each in part if isinstance(part, list) else [part]:
        if isinstance(each, exp.Expr):
            yield from each.find_all(exp.Select)


def _sources(select: exp.Select, known: Columns) -> Iterator[tuple[str, list[str]]]:
    from_ = select.args.get("from_")
    joins = [join for join in select.args.get("joins") or () if join.side + join.kind not in ("ANTI", "SEMI")]
    for source in [*([from_.this] if from_ else []), *(join.this for join in joins)]:
        if isinstance(source, exp.Table):
            name = f"{source.db}.{source.name}" if source.db else source.name
            yield source.alias_or_name, known.get(name, [])
        elif isinstance(source, exp.Subquery):
            yield source.alias, _query(source.this, known)
        else:
            alias = source.args.get("alias")
            yield source.alias, [column.name for column in alias.columns] if alias else []


def _star(star: exp.Star, of: str, sources: Mapping[str, list[str]]) -> list[exp.Expr]:
    dropped = {each.name for each in star.args.get("except_") or ()}
    replaced = {each.alias: each for each in star.args.get("replace") or ()}
    wanted = {of: sources.get(of, [])} if of else sources
    qualifier = len(sources) > 1
    return [
        replaced[name].copy() if name in replaced else exp.column(name, source if of or qualifier else None)
        for source, names in wanted.items()
        for name in names
        if name not in dropped
    ]


def _reorder(right: exp.Expr, left_names: list[str], right_names: list[str]) -> None:
    """Give the right side of a union the order of the left one. Both have the same columns."""
    if not isinstance(right, exp.Select) or sorted(left_names) != sorted(right_names):
        raise ValueError("UNION BY NAME of different columns cannot be exported")
    by_name = dict(zip(right_names, right.expressions, strict=False))
    if len(right.expressions) == len(right_names):
        right.set("expressions", [by_name[name] for name in left_names])
    else:
        right.set("expressions", [exp.column(name) for name in left_names])
