-- How many of a tenant's charges older than a day do not count any more.
SELECT count()
FROM bill_charges
WHERE tenant = {tenant:String}
    AND imported_at < {before:DateTime64(3)}
    AND (toString(BillingAccountId), BillingPeriodStart, import_id) NOT IN
    (
        SELECT BillingAccountId, BillingPeriodStart, import_id
        FROM bill_slices
        WHERE tenant = {tenant:String}
        GROUP BY BillingAccountId, BillingPeriodStart, import_id
        HAVING argMax(live, changed_at) = 1
    )
