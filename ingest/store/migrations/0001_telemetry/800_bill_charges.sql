-- A charge of a bill, as FOCUS names its columns (focus.finops.org): one row for each row of the file. Amounts are exact, of 24
-- places, and in BillingCurrency: they are never added up over currencies. Texts without a value are empty. Tags and
-- SkuPriceDetails are JSON objects; so is Other, which has every other column of the file that has a value. ProviderName is who
-- provides the service (ServiceProviderName from 1.3 on). Rows count only while bill_slices says so: read the view `bills`. They
-- stay until they are replaced.
CREATE TABLE IF NOT EXISTS bill_charges
(
    tenant LowCardinality(String),
    import_id String CODEC(ZSTD(1)),
    imported_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    row UInt64 CODEC(Delta(8), ZSTD(1)),
    ProviderName LowCardinality(String),
    InvoiceIssuerName LowCardinality(String),
    BillingAccountId LowCardinality(String),
    BillingAccountName LowCardinality(String),
    SubAccountId LowCardinality(String),
    SubAccountName LowCardinality(String),
    BillingPeriodStart DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    BillingPeriodEnd DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    ChargePeriodStart DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    ChargePeriodEnd DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    ChargeCategory LowCardinality(String),
    ChargeClass LowCardinality(String),
    ChargeDescription String CODEC(ZSTD(1)),
    ChargeFrequency LowCardinality(String),
    ServiceCategory LowCardinality(String),
    ServiceSubcategory LowCardinality(String),
    ServiceName LowCardinality(String),
    RegionId LowCardinality(String),
    AvailabilityZone LowCardinality(String),
    ResourceId String CODEC(ZSTD(1)),
    ResourceName String CODEC(ZSTD(1)),
    ResourceType LowCardinality(String),
    SkuId String CODEC(ZSTD(1)),
    SkuPriceId String CODEC(ZSTD(1)),
    SkuMeter LowCardinality(String),
    SkuPriceDetails String CODEC(ZSTD(1)),
    PricingCategory LowCardinality(String),
    PricingQuantity Nullable(Decimal(38, 24)) CODEC(ZSTD(1)),
    PricingUnit LowCardinality(String),
    ConsumedQuantity Nullable(Decimal(38, 24)) CODEC(ZSTD(1)),
    ConsumedUnit LowCardinality(String),
    CommitmentDiscountId LowCardinality(String),
    CommitmentDiscountStatus LowCardinality(String),
    BillingCurrency LowCardinality(String),
    BilledCost Decimal(38, 24) CODEC(ZSTD(1)),
    EffectiveCost Decimal(38, 24) CODEC(ZSTD(1)),
    ListCost Decimal(38, 24) CODEC(ZSTD(1)),
    ContractedCost Decimal(38, 24) CODEC(ZSTD(1)),
    ListUnitPrice Nullable(Decimal(38, 24)) CODEC(ZSTD(1)),
    ContractedUnitPrice Nullable(Decimal(38, 24)) CODEC(ZSTD(1)),
    Tags String CODEC(ZSTD(1)),
    Other String CODEC(ZSTD(1))
)
ENGINE = ${merge_tree}
PARTITION BY toYYYYMM(BillingPeriodStart)
ORDER BY (tenant, BillingAccountId, BillingPeriodStart, import_id, ServiceName, ResourceId, ChargePeriodStart, row)
SETTINGS ${table_settings}
