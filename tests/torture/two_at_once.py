"""Two syncs of one warehouse, started together."""

from __future__ import annotations

from tests.harness.store import Store
from tests.torture.figures import Figures
from tests.torture.judge import judge

REFUSAL = "Another command is writing to "


def two_at_once(store: Store, times: int, *, rivo: bool = True) -> Figures:
    """Start two syncs at once, `times` times; the last time as two `rivo sync`, Dagster included."""
    figures = Figures(
        "two at once", "one wins, the other leaves with one sentence or syncs after it; equals the store"
    )
    store = store.with_warehouse("two")
    both = 0
    for number in range(times):
        store.wait()
        is_command = rivo and number == times - 1
        if is_command:
            commands = [store.start_rivo("sync") for _ in range(2)]
            texts = [command.communicate(timeout=300)[0] for command in commands]
            said = [
                None if command.returncode == 0 else text
                for command, text in zip(commands, texts, strict=True)
            ]
        else:
            children = [store.start(models=number % 3 == 0) for _ in range(2)]
            said = [child.end() or None for child in children]
        figures.runs += 1
        both += said == [None, None]
        figures.must(None in said, f"time {number + 1}: neither won: {said}")
        for sentence in said:
            if sentence is not None:
                figures.seen[REFUSAL] += 1
                figures.must(
                    REFUSAL in sentence and "Traceback" not in sentence, f"time {number + 1}: {sentence}"
                )
        figures.add(
            judge(store.path, store.program, models=is_command or number % 3 == 0), f"time {number + 1}"
        )
    figures.notes.append(f"{times} times; {both} times the second one began after the first had ended")
    return figures.end()
