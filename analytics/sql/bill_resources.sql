-- What the bill says of every resource in the range: one row per currency, provider, service, resource and kind of charge, apart for
-- charges that lie in the range (inside) and those that reach over its edge. What has no id is known by its name.
SELECT
    BillingCurrency AS currency,
    ProviderName AS provider,
    ServiceName AS service,
    ResourceId AS resource_id,
    ChargeCategory AS category,
    ChargePeriodStart >= {start:DateTime('UTC')} AND ChargePeriodEnd <= {end:DateTime('UTC')} AS inside,
    max(ResourceName) AS resource_name,
    anyIf(simpleJSONExtractString(SkuPriceDetails, 'InstanceType'), SkuPriceDetails LIKE '%"InstanceType"%') AS instance_type,
    count() AS charges,
    sum(BilledCost) AS billed,
    sum(EffectiveCost) AS effective,
    sum(ListCost) AS list
FROM bills
WHERE tenant = {tenant:String}
    AND ChargePeriodStart < {end:DateTime('UTC')}
    AND ChargePeriodEnd > {start:DateTime('UTC')}
GROUP BY currency, provider, service, resource_id, if(ResourceId = '', ResourceName, ''), category, inside
ORDER BY currency, provider, service, resource_id, resource_name, category, inside
