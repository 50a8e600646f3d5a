"""The id space of one list cut into ranges, so that several workers read it side by side and the union is exact.

The cursor is sequential, but may start at any id. Where ids are known from the warehouse, the ranges are cut
at every so many full pages of them, so that no page is asked for twice. Behind them, and on a first load,
nothing is known: there a worker jumps ahead. The page that it asks for is either the start of a range of its
own, or empty, which tells where the list ends; what lies between is halved until every worker has something
to do. Pure bookkeeping: nothing here sends a request.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

PAGE_SIZE = 250
_PAGES_WORTH_A_RANGE = 4
"""A range is not cut below this many pages: a cut may cost a page that is asked for twice."""
PAGES_BEFORE_JUMPING = 4
"""So many pages of unknown ids are read one after the other first: small lists stay sequential."""
_FIRST_JUMP_PAGES = 8
_EMPTINESS_STEP = 8.0


@dataclass
class Range:
    """The ids in (position, end], of which all up to `position` are read; `end` None: to the list's end."""

    position: int
    end: int | None
    gap: float = 1.0
    """Mean distance of two ids on the last page."""
    pages: int = 0
    """Pages read of ids that were not known before."""
    emptiness: float = 1.0
    """How much sparser than on the last page the ids behind seem to be: parts cut off it held no rows."""
    taken: bool = False
    read: bool = False
    """Whether a page behind its start has come."""
    done: bool = False
    cut_off: Range | None = None
    """The part that was last cut off it."""

    @property
    def may_be_cut(self) -> bool:
        """Not before it is known what the last cut has brought: each cut through a void is asked for in vain."""
        return not self.done and self.read and (self.cut_off is None or self.cut_off.read)


@dataclass
class ReadPlan:
    """Which worker reads which range; safe to use from several threads."""

    ranges: list[Range]
    known_to: int
    """The largest id known before; up to it the cuts are final."""
    knows: bool
    """Whether the list was read before."""
    _jump_pages: int = _FIRST_JUMP_PAGES
    _jumping: Range | None = None
    _end_is_known: bool = False
    _largest_seen: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    stopped: bool = False
    """Set by `stop`: workers end after the page they are at."""

    def claim(self) -> Range | None:
        """A range for a worker that has nothing to do; waits while one may come up; None when all is done."""
        with self._changed:
            while not self.stopped and not all(r.done for r in self.ranges):
                found = self._untaken() or self._jump() or self._half()
                if found:
                    found.taken = True
                    return found
                self._changed.wait()
            return None

    def advance(
        self, current: Range, first: int | None, reached: int | None, gap: float, *, ended: bool
    ) -> int | None:
        """Tell that the page behind `current.position` was read.

        Args:
            current: the range it belongs to.
            first: the first id on that page; None: it had no rows.
            reached: the id up to which the list is read by that page; None: it had no rows.
            gap: mean distance of two ids on the page.
            ended: the list has no rows behind this page.

        Returns:
            The last id that belongs to this range (None: all do). Rows with greater ids are another's.
        """
        with self._changed:
            end = current.end
            if self._jumping is current:
                self._jumping = None
                self._jump_pages *= 2
            current.read = True
            if end is not None and (first is None or first > end):
                self._note_emptiness(current)
            if ended:
                self._note_end(current.position if reached is None else reached)
            if reached is not None:
                self._largest_seen = max(self._largest_seen, reached)
                current.position = reached
                current.gap = max(gap, 1.0)
                current.pages += reached > self.known_to
            current.done = ended or reached is None or (end is not None and reached >= end)
            if current.done and end is None:
                self._end_is_known = True
            self._changed.notify_all()
            return end

    def expects_end_at(self, row_id: int) -> bool:
        """Whether the list may well end there, by what was known before."""
        return self.knows and row_id >= self.known_to

    @property
    def is_worth_sharing(self) -> bool:
        """Whether there is more than one range, or so many unknown pages came that more are to be expected."""
        return len(self.ranges) > 1 or self.ranges[-1].pages >= PAGES_BEFORE_JUMPING

    def stop(self) -> None:
        """Let every worker end."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def _untaken(self) -> Range | None:
        return next((r for r in self.ranges if not r.taken and not r.done), None)

    def _jump(self) -> Range | None:
        """A range far behind the last one, which is cut where the new one begins; one jump at a time."""
        last = self.ranges[-1]
        if self._end_is_known or self._jumping or last.pages < PAGES_BEFORE_JUMPING:
            return None
        last.end = last.position + round(last.gap * PAGE_SIZE * self._jump_pages)
        # A jump that lands among rows has shown that the list goes on: the next one need not wait.
        self._jumping = Range(last.end, None, last.gap, pages=PAGES_BEFORE_JUMPING - 1)
        self.ranges.append(self._jumping)
        return self._jumping

    def _note_end(self, row_id: int) -> None:
        """Give up what lies behind the list's last row, unless somebody has seen rows there."""
        if self._largest_seen > row_id:
            return
        self._end_is_known = True
        for r in self.ranges:
            if r.position >= row_id:
                r.done = r.read = True
            elif r.end is None or r.end > row_id:
                r.end = row_id

    def _note_emptiness(self, empty: Range) -> None:
        """Expect fewer rows before a range without any: halving a void again and again would ask for nothing."""
        before = self.ranges.index(empty) - 1
        if before >= 0:
            self.ranges[before].emptiness *= _EMPTINESS_STEP

    def _half(self) -> Range | None:
        """The far half of the range with most pages left, if that is worth a range."""
        largest = max(
            (r for r in self.ranges if r.may_be_cut and r.position >= self.known_to),
            key=_pages_left,
            default=None,
        )
        if largest is None or largest.end is None or _pages_left(largest) < _PAGES_WORTH_A_RANGE:
            return None
        # The page that is under way now is not cut.
        start = largest.position + round(largest.gap * PAGE_SIZE)
        middle = start + (largest.end - start) // 2
        far = Range(middle, largest.end, largest.gap, largest.pages, largest.emptiness)
        largest.end, largest.cut_off = middle, far
        self.ranges.insert(self.ranges.index(largest) + 1, far)
        return far


def _pages_left(r: Range) -> float:
    return 0.0 if r.end is None else (r.end - r.position) / (r.gap * r.emptiness * PAGE_SIZE)


def plan_ranges(
    since_id: int, known_ids: Sequence[int] | None, workers: int, apart: Sequence[int] = ()
) -> ReadPlan:
    """Cut the ids behind `since_id` for so many workers.

    Args:
        since_id: rows with a greater id are to be read.
        known_ids: the ids that the warehouse holds, ascending; smaller ones may be among them. None: the list
            was never read before.
        workers: how many will read.
        apart: ids up to `since_id` that are to be read too; a range each.
    """
    single = [Range(row_id - 1, row_id) for row_id in apart]
    if known_ids is None:
        return ReadPlan([*single, Range(since_id, None)], since_id, knows=False)
    first = bisect_right(known_ids, since_id)
    pages = (len(known_ids) - first) // PAGE_SIZE
    count = max(1, min(workers, pages // _PAGES_WORTH_A_RANGE))
    # Every cut is the last id of a full page of known ids, so that no page spans it.
    cuts = [int(known_ids[first + pages * n // count * PAGE_SIZE - 1]) for n in range(1, count)]
    known_to = int(known_ids[-1]) if len(known_ids) else since_id
    ranges = [Range(start, end) for start, end in zip([since_id, *cuts], [*cuts, None], strict=True)]
    return ReadPlan([*single, *ranges], max(known_to, since_id), knows=True)
