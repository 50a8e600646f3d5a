with source as (
    select * from rivo_raw.earning_rules_history
),

final as (
    select
        id as earning_rule_id,
        title as rule_title,
        name as rule_name,
        status,
        status is not null as is_set_up,
        coalesce(status = 'active', false) as is_active,
        "trigger" as rule_trigger,
        points_amount,
        credits_amount,
        points_type,
        currency_base_amount,
        valid_from,
        valid_to,
        valid_to is null as is_current
    from source
)

select * from final
