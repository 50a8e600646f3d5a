with source as (
    select * from rivo_raw.earning_rules
),

final as (
    select
        id as earning_rule_id,
        title as rule_title,
        name as rule_name,
        description as rule_description,
        status,
        -- Rivo also lists rules that the shop never set up, with most attributes null.
        status is not null as is_set_up,
        coalesce(status = 'active', false) as is_active,
        "trigger" as rule_trigger,
        points_amount,
        credits_amount,
        points_type,
        currency_base_amount,
        hidden_from_ui as is_hidden,
        _first_seen_at as first_seen_at,
        _last_seen_at as last_seen_at,
        _deleted_at as deleted_at,
        _deleted_at is not null as is_deleted
    from source
)

select * from final
