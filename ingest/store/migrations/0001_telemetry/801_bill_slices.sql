-- Which import holds for a slice of the bills: a billing account in a billing period. A row says that from `changed_at` on an
-- import is live in it (1) or was replaced (0); the latest row counts. An import becomes visible, and what it replaces goes, by one
-- insert here after all its charges are there.
CREATE TABLE IF NOT EXISTS bill_slices
(
    tenant LowCardinality(String),
    BillingAccountId String,
    BillingPeriodStart DateTime('UTC'),
    import_id String,
    changed_at DateTime64(6, 'UTC'),
    live UInt8,
    BillingPeriodEnd DateTime('UTC'),
    file String,
    digest String,
    focus_version LowCardinality(String),
    rows UInt64
)
ENGINE = ${replacing}(changed_at)
ORDER BY (tenant, BillingAccountId, BillingPeriodStart, import_id)
SETTINGS ${table_settings}
