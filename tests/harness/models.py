"""Projects of a part of the SQL models, for tests of something else than all of them."""

from __future__ import annotations

from dataclasses import replace

from dbt_like_sql.runner import DataTest, Project, select


def part(whole: Project, selection: str) -> Project:
    """Return a project of the models that dbt's selectors name, and no others.

    Tests and actions that also read a model outside the selection are left out.
    """
    names = select(whole, selection)

    def within(tests: tuple[DataTest, ...]) -> tuple[DataTest, ...]:
        return tuple(test for test in tests if {test.node, *test.depends_on} <= set(names))

    nodes = {
        name: replace(
            node,
            data_tests=within(node.data_tests),
            columns=tuple(replace(column, data_tests=within(column.data_tests)) for column in node.columns),
        )
        for name in names
        for node in [whole.node(name)]
    }
    actions = {name: action for name, action in whole.actions.items() if {*action.depends_on} <= {*names}}
    return replace(whole, nodes=nodes, singular_tests=within(whole.singular_tests), actions=actions)
