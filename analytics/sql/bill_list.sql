-- What bills there are: one row per billing account, billing period and currency, with what counts now.
SELECT
    BillingAccountId AS billing_account,
    any(BillingAccountName) AS billing_account_name,
    BillingPeriodStart AS period_start_at,
    max(BillingPeriodEnd) AS period_end_at,
    BillingCurrency AS currency,
    groupUniqArray(toString(ProviderName)) AS providers,
    uniqExact(import_id) AS imports,
    max(imported_at) AS last_import_at,
    count() AS charges,
    sum(BilledCost) AS billed,
    sum(EffectiveCost) AS effective
FROM bills
WHERE tenant = {tenant:String}
GROUP BY billing_account, period_start_at, currency
ORDER BY period_start_at DESC, billing_account, currency
