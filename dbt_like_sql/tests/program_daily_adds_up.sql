select unit, local_day
from (
    select
        *,
        lag(outstanding) over by_unit as outstanding_before,
        lag(members_end) over by_unit as members_before
    from reports.rpt_program_daily
    window by_unit as (partition by unit order by local_day)
)
where outstanding_before is not null
    and (
        outstanding <> outstanding_before + issued - redeemed - expired + adjusted + imported + unclassified
        or members_start <> members_before
    )
