-- What holds now in a tenant's slices: one row per billing account, billing period and live import.
SELECT
    BillingAccountId,
    BillingPeriodStart,
    import_id,
    argMax(digest, changed_at) AS file_digest,
    argMax(rows, changed_at) AS row_count,
    argMax(file, changed_at) AS file_name,
    argMax(focus_version, changed_at) AS version,
    argMax(BillingPeriodEnd, changed_at) AS period_end,
    max(changed_at) AS since
FROM bill_slices
WHERE tenant = {tenant:String}
GROUP BY BillingAccountId, BillingPeriodStart, import_id
HAVING argMax(live, changed_at) = 1
ORDER BY BillingAccountId, BillingPeriodStart, import_id
