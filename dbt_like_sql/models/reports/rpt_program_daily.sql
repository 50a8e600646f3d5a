with clock as (
    select * from intermediate.int_clock
),

units as (
    select distinct unit from marts.fct_points_ledger
),

calendar as (
    select local_day from intermediate.int_history_days
),

-- Stretches of days on which a customer was a member, split at every change of tier.
member_days as (
    select
        customer_id,
        first_day,
        last_day
    from intermediate.int_state_days
    where state_kind <> 'not_member'
),

-- A stretch without another that ends on the day before it is a member who joined; the reverse is a member who left.
arrivals as (
    select
        member_days.first_day as local_day,
        count(*) as joined
    from member_days
    anti join member_days as earlier
        on earlier.customer_id = member_days.customer_id
        and earlier.last_day = member_days.first_day - 1
    group by member_days.first_day
),

departures as (
    select
        member_days.last_day + 1 as local_day,
        count(*) as gone
    from member_days
    anti join member_days as later
        on later.customer_id = member_days.customer_id
        and later.first_day = member_days.last_day + 1
    where member_days.last_day is not null
    group by member_days.last_day + 1
),

active_spans as (
    select
        first_day,
        last_day,
        if(is_active_30d, 1, 0) as active_30d,
        1 as active_90d
    from marts.fct_member_span
    where is_active_90d and (state <> 'not_member' or tier_id is not null)
),

-- Members who become active, less those who cease to be.
activity as (
    select
        local_day,
        sum(active_30d) as active_30d,
        sum(active_90d) as active_90d
    from (
        select first_day as local_day, active_30d, active_90d from active_spans
        union all
        select last_day + 1 as local_day, -active_30d as active_30d, -active_90d as active_90d from active_spans
    )
    group by local_day
),

members as (
    select
        calendar.local_day,
        coalesce(arrivals.joined, 0) as joined,
        coalesce(departures.gone, 0) as gone,
        sum(coalesce(arrivals.joined, 0) - coalesce(departures.gone, 0)) over (order by calendar.local_day)
            as members_end,
        sum(coalesce(activity.active_30d, 0)) over (order by calendar.local_day) as active_members_30d,
        sum(coalesce(activity.active_90d, 0)) over (order by calendar.local_day) as active_members_90d
    from calendar
    left join arrivals on arrivals.local_day = calendar.local_day
    left join departures on departures.local_day = calendar.local_day
    left join activity on activity.local_day = calendar.local_day
),

booked as (
    select
        unit,
        entry_date as local_day,
        sum(amount) as net,
        sum(amount) filter (where entry_class in (
            'issue_purchase', 'issue_action', 'issue_referral', 'issue_tier', 'issue_manual', 'issue_reversal'
        )) as issued,
        -sum(amount) filter (where entry_class in ('redeem', 'redeem_return')) as redeemed,
        -sum(amount) filter (where entry_class = 'expire') as expired,
        sum(amount) filter (where entry_class = 'adjust_negative') as adjusted,
        sum(amount) filter (where entry_class = 'issue_import') as imported,
        sum(amount) filter (where entry_class = 'unclassified') as unclassified
    from marts.fct_points_ledger
    group by unit, entry_date
),

before_history as (
    select booked.unit, sum(booked.net) as net
    from booked
    cross join clock
    where booked.local_day < clock.history_start_date
    group by booked.unit
),

codes as (
    select
        redemption_id,
        if(credits_spent > 0 and points_spent = 0, 'credits', 'points') as unit,
        claim_date,
        (used_at at time zone clock.timezone)::date as use_date
    from marts.fct_redemption
    cross join clock
),

claims as (
    select unit, claim_date as local_day, count(*) as codes_claimed
    from codes
    group by unit, claim_date
),

uses as (
    select unit, use_date as local_day, count(*) as codes_used
    from codes
    where use_date is not null
    group by unit, use_date
),

final as (
    select
        members.local_day,
        units.unit,
        -- The members before the first observation are not known.
        if(
            members.local_day > clock.history_start_date, members.members_end - members.joined + members.gone, null
        )::bigint as members_start,
        if(members.local_day > clock.history_start_date, members.joined, null)::bigint as joined,
        if(members.local_day > clock.history_start_date, members.gone, null)::bigint as "left",
        if(members.local_day > clock.history_start_date, members.gone, null)::bigint as left_members,
        members.members_end::bigint as members_end,
        members.active_members_30d::bigint as active_members_30d,
        members.active_members_90d::bigint as active_members_90d,
        coalesce(booked.issued, 0)::decimal(18, 4) as issued,
        coalesce(booked.redeemed, 0)::decimal(18, 4) as redeemed,
        coalesce(booked.expired, 0)::decimal(18, 4) as expired,
        coalesce(booked.adjusted, 0)::decimal(18, 4) as adjusted,
        coalesce(booked.imported, 0)::decimal(18, 4) as imported,
        coalesce(booked.unclassified, 0)::decimal(18, 4) as unclassified,
        (
            coalesce(before_history.net, 0)
            + sum(coalesce(booked.net, 0)) over (partition by units.unit order by members.local_day)
        )::decimal(18, 4) as outstanding,
        coalesce(claims.codes_claimed, 0) as codes_claimed,
        coalesce(uses.codes_used, 0) as codes_used
    from members
    cross join units
    cross join clock
    left join booked on booked.unit = units.unit and booked.local_day = members.local_day
    left join before_history on before_history.unit = units.unit
    left join claims on claims.unit = units.unit and claims.local_day = members.local_day
    left join uses on uses.unit = units.unit and uses.local_day = members.local_day
)

select * from final
order by local_day, unit desc
