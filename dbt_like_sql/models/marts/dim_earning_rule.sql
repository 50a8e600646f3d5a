with versions as (
    select * from staging.stg_rivo__earning_rules_history
),

rules as (
    select * from staging.stg_rivo__earning_rules
),

final as (
    select
        versions.earning_rule_id,
        coalesce(versions.rule_title, versions.rule_name) as rule_title,
        coalesce(rules.rule_title, rules.rule_name, versions.rule_title, versions.rule_name) as current_rule_title,
        versions.rule_trigger,
        versions.status,
        versions.is_set_up,
        versions.is_active,
        versions.points_amount,
        versions.credits_amount,
        versions.points_type,
        versions.currency_base_amount,
        versions.valid_from,
        versions.valid_to,
        versions.is_current
    from versions
    left join rules on rules.earning_rule_id = versions.earning_rule_id
)

select * from final
