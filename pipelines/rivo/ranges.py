"""Divides the ids of one list into ranges that several workers read in parallel, each row exactly once.

Paging by cursor is sequential, but can start at any id. Where the warehouse knows the ids, each range covers several
full pages of them, so that no page is requested twice. After these ids, and on a first load, the ids are unknown: a
worker jumps ahead. The page that it requests is either the start of a new range, or empty, which shows that the list
ends before it. The ids in between are halved until every worker has a range. This module sends no requests.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

PAGE_SIZE = 250
_PAGES_WORTH_A_RANGE = 4
"""Minimum number of pages in a range that is divided, because each division can cost one extra request."""
PAGES_BEFORE_JUMPING = 4
"""Number of pages with unknown ids that are read before the first jump, so that small lists are read sequentially."""
_FIRST_JUMP_PAGES = 8
_EMPTINESS_STEP = 8.0


@dataclass
class Range:
    """The ids above `position` and up to `end` that remain to be read; `end` is None for the end of the list."""

    position: int
    end: int | None
    gap: float = 1.0
    """Mean distance between two ids on the last page."""
    pages: int = 0
    """Number of pages read whose ids were not known before."""
    emptiness: float = 1.0
    """Estimated factor by which the remaining ids are sparser than on the last page; grows when a part is empty."""
    taken: bool = False
    read: bool = False
    """Whether a page of the range has been read."""
    done: bool = False
    cut_off: Range | None = None
    """The range that was last split off this one."""

    @property
    def may_be_cut(self) -> bool:
        """Whether the range can be split: not until the last part has been read, because that part can be empty."""
        return not self.done and self.read and (self.cut_off is None or self.cut_off.read)


@dataclass
class ReadPlan:
    """The assignment of ranges to workers; safe to use from several threads."""

    ranges: list[Range]
    known_to: int
    """The largest id known before the read. Ranges up to it are not split."""
    knows: bool
    """Whether the list was read before."""
    _jump_pages: int = _FIRST_JUMP_PAGES
    _jumping: Range | None = None
    _end_is_known: bool = False
    _largest_seen: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    stopped: bool = False
    """Set by `stop`; each worker ends after its current page."""

    def claim(self) -> Range | None:
        """Return a range for an idle worker, waiting until there is one; None when the list is read."""
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
        """Record that the page after `current.position` was read.

        Args:
            current: the range that the page was read for.
            first: the first id on the page; None if it had no rows.
            reached: the id up to which the list is read now; None if the page had no rows.
            gap: mean distance between two ids on the page.
            ended: whether the list has no rows after this page.

        Returns:
            The last id of this range, or None if it has no end. Rows with greater ids belong to another range.
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
        """Return whether no row after this id was known before, so that the list can end there."""
        return self.knows and row_id >= self.known_to

    @property
    def is_worth_sharing(self) -> bool:
        """Whether there is more than one range, or enough pages with unknown ids were read to expect many more."""
        return len(self.ranges) > 1 or self.ranges[-1].pages >= PAGES_BEFORE_JUMPING

    def stop(self) -> None:
        """Make every worker end after its current page."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def _untaken(self) -> Range | None:
        return next((r for r in self.ranges if not r.taken and not r.done), None)

    def _jump(self) -> Range | None:
        """Return a new range far after the start of the last one, which then ends there; one jump at a time."""
        last = self.ranges[-1]
        if self._end_is_known or self._jumping or last.pages < PAGES_BEFORE_JUMPING:
            return None
        last.end = last.position + round(last.gap * PAGE_SIZE * self._jump_pages)
        # A jump that finds rows shows that the list continues, so the next jump need not wait.
        self._jumping = Range(last.end, None, last.gap, pages=PAGES_BEFORE_JUMPING - 1)
        self.ranges.append(self._jumping)
        return self._jumping

    def _note_end(self, row_id: int) -> None:
        """End all ranges at the last row of the list, unless another worker has read rows after it."""
        if self._largest_seen > row_id:
            return
        self._end_is_known = True
        for r in self.ranges:
            if r.position >= row_id:
                r.done = r.read = True
            elif r.end is None or r.end > row_id:
                r.end = row_id

    def _note_emptiness(self, empty: Range) -> None:
        """Expect fewer rows before an empty range, to avoid many requests for ids that do not exist."""
        before = self.ranges.index(empty) - 1
        if before >= 0:
            self.ranges[before].emptiness *= _EMPTINESS_STEP

    def _half(self) -> Range | None:
        """Split off and return the second half of the range with the most pages left; None if that is too small."""
        largest = max(
            (r for r in self.ranges if r.may_be_cut and r.position >= self.known_to),
            key=_pages_left,
            default=None,
        )
        if largest is None or largest.end is None or _pages_left(largest) < _PAGES_WORTH_A_RANGE:
            return None
        # The page that is being requested stays in the first half.
        start = largest.position + round(largest.gap * PAGE_SIZE)
        middle = start + (largest.end - start) // 2
        far = Range(middle, largest.end, largest.gap, largest.pages, largest.emptiness)
        largest.end, largest.cut_off = middle, far
        self.ranges.insert(self.ranges.index(largest) + 1, far)
        return far


def _pages_left(r: Range) -> float:
    return 0.0 if r.end is None else (r.end - r.position) / (r.gap * r.emptiness * PAGE_SIZE)


def plan_ranges(
    since_id: int, known_ids: Sequence[int] | None, workers: int, quarantined_ids: Sequence[int] = ()
) -> ReadPlan:
    """Divide the ids after `since_id` among workers.

    Args:
        since_id: the id after which rows are to be read.
        known_ids: the ids in the warehouse, ascending, which can include smaller ones; None if the list was never read.
        workers: number of workers.
        quarantined_ids: ids up to `since_id` of quarantined rows to be read as well; each becomes a range.
    """
    single = [Range(row_id - 1, row_id) for row_id in quarantined_ids]
    if known_ids is None:
        return ReadPlan([*single, Range(since_id, None)], since_id, knows=False)
    first = bisect_right(known_ids, since_id)
    pages = (len(known_ids) - first) // PAGE_SIZE
    count = max(1, min(workers, pages // _PAGES_WORTH_A_RANGE))
    # Each range ends with the last id of a full page of known ids, so that no page spans two ranges.
    cuts = [int(known_ids[first + pages * n // count * PAGE_SIZE - 1]) for n in range(1, count)]
    known_to = int(known_ids[-1]) if len(known_ids) else since_id
    ranges = [Range(start, end) for start, end in zip([since_id, *cuts], [*cuts, None], strict=True)]
    return ReadPlan([*single, *ranges], max(known_to, since_id), knows=True)
