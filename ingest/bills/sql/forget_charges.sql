-- Takes out a tenant's charges that do not count: of imports that are live in none of the tenant's slices with their account and
-- period, and older than a day, so that an import that is under way elsewhere keeps its own.
ALTER TABLE bill_charges DELETE
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
