-- Two rows a span, however long it is. Midnights are the next view's.
CREATE MATERIALIZED VIEW IF NOT EXISTS activity_1s_mv TO activity_1s AS
SELECT
    ${activity_names},
    toDateTime(entry.1, 'UTC') AS second,
    sumIf(weight, entry.2 = 'start') AS requests,
    countIf(entry.2 = 'start') AS starts,
    sumIf(start_offset_ns, entry.2 = 'start') AS start_ns,
    countIf(entry.2 = 'end') AS ends,
    sumIf(end_offset_ns, entry.2 = 'end') AS end_ns,
    countIf(entry.2 = 'end' AND is_error) AS errors,
    sumIf(weight, entry.2 = 'end' AND is_error) AS errors_weighted,
    sumIf(toDecimal128(busy, 0), entry.2 = 'end') AS busy_ns,
    sumIf(toDecimal128(busy, 0) * weight, entry.2 = 'end') AS busy_weighted_ns,
    countIf(entry.2 = 'end' AND is_cold_start) AS cold_starts,
    sumMapIf(map(${duration_index(busy)}, 1::UInt64), entry.2 = 'end') AS durations
FROM
(
    SELECT
        ${activity_names},
        weight,
        start_ns % 1000000000 AS start_offset_ns,
        end_ns % 1000000000 AS end_offset_ns,
        end_ns - start_ns AS busy,
        status_code = 2 AS is_error,
        attributes['faas.coldstart'] = 'true' AS is_cold_start,
        arrayJoin([
            (${seconds(start_ns)}, 'start'::Enum8('start' = 1, 'end' = 2)),
            (${seconds(end_ns)}, 'end')]) AS entry
    FROM spans
    WHERE ${is_request}
)
GROUP BY
    ${activity_names},
    second
