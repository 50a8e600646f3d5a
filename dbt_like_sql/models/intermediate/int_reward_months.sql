with clock as (
    select * from intermediate.int_clock
),

versions as (
    select
        reward_id,
        is_enabled,
        valid_from,
        valid_to,
        row_number() over (partition by reward_id order by valid_from) = 1 as is_first
    from staging.stg_rivo__rewards_history
),

-- The terms first seen are taken to be those since the reward was created.
enabled as (
    select
        versions.reward_id,
        if(
            versions.is_first and rewards.created_at < versions.valid_from, rewards.created_at, versions.valid_from
        ) as enabled_from,
        versions.valid_to as enabled_until
    from versions
    left join staging.stg_rivo__rewards as rewards on rewards.reward_id = versions.reward_id
    where versions.is_enabled
),

local_days as (
    select
        enabled.reward_id,
        -- Programs that fill in a date by mistake write years such as 0001.
        greatest(
            (enabled.enabled_from at time zone clock.timezone)::date, clock.local_date - 30 * 365
        ) as first_day,
        coalesce((enabled.enabled_until at time zone clock.timezone)::date, clock.local_date) as last_day
    from enabled
    cross join clock
),

final as (
    select distinct
        local_days.reward_id,
        months.month::date as month
    from local_days
    cross join unnest(
        generate_series(
            date_trunc('month', local_days.first_day)::date, local_days.last_day, interval 1 month
        )
    ) as months (month)
)

select * from final
