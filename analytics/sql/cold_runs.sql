-- One row per function with cold starts in the range: its runs, each once, how many were cold, and how long those took. Of each ..._count and
-- ..._ms: how many told it, and the median, the 95th of 100 and the longest, in milliseconds. total: before the function's own work, that is
-- init and restore. run, warm: that work, in cold runs and in others.
SELECT
    ${identity_names},
    service_namespace,
    service_name,
    arraySort(groupUniqArray(toString(source))) AS sources,
    count() AS runs,
    countIf(is_cold) AS starts,
    countIf(is_cold AND isNotNull(before)) AS total_count,
    quantilesExactIf(0.5, 0.95, 1)(ifNull(before, 0), is_cold AND isNotNull(before)) AS total_ms,
    countIf(is_cold AND isNotNull(init)) AS init_count,
    quantilesExactIf(0.5, 0.95, 1)(ifNull(init, 0), is_cold AND isNotNull(init)) AS init_ms,
    countIf(is_cold AND isNotNull(restore)) AS restore_count,
    quantilesExactIf(0.5, 0.95, 1)(ifNull(restore, 0), is_cold AND isNotNull(restore)) AS restore_ms,
    starts AS run_count,
    quantilesExactIf(0.5, 0.95, 1)(took, is_cold) AS run_ms,
    countIf(NOT is_cold) AS warm_count,
    quantilesExactIf(0.5, 0.95, 1)(took, NOT is_cold) AS warm_ms
FROM
(
    SELECT
        *,
        is_cold_start AS is_cold,
        invoked.init_ms AS init,
        invoked.restore_ms AS restore,
        coalesce(init + restore, init, restore) AS before,
        duration_ms AS took
    FROM
    (
        ${invocations_between}
    ) AS invoked
)
GROUP BY ${identity_names}, service_namespace, service_name
HAVING starts > 0
