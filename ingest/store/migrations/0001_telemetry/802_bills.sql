-- The charges that hold now: those of the imports that are live in their billing account and billing period.
CREATE VIEW IF NOT EXISTS bills AS
SELECT *
FROM bill_charges
WHERE (tenant, toString(BillingAccountId), BillingPeriodStart, import_id) IN
(
    SELECT tenant, BillingAccountId, BillingPeriodStart, import_id
    FROM bill_slices
    GROUP BY tenant, BillingAccountId, BillingPeriodStart, import_id
    HAVING argMax(live, changed_at) = 1
)
