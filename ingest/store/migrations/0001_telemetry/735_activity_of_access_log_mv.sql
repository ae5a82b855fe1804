-- Requests that a workload's own proxy was asked for, as activity: three kinds of rows as in activity_1s_mv and
-- activity_1s_carried_mv, without sampling. Who asks takes them only if the workload's own spans tell nothing.
CREATE MATERIALIZED VIEW IF NOT EXISTS activity_of_access_log_mv TO activity_1s AS
SELECT
    ${activity_names},
    toDateTime(moment.1, 'UTC') AS second,
    toDecimal128(countIf(moment.2 = 'start'), 6) AS requests,
    countIf(moment.2 = 'start') AS starts,
    sumIf(start_offset_ns, moment.2 = 'start') AS start_ns,
    countIf(moment.2 = 'end') AS ends,
    sumIf(end_offset_ns, moment.2 = 'end') AS end_ns,
    countIf(moment.2 = 'end' AND is_error) AS errors,
    toDecimal128(errors, 6) AS errors_weighted,
    sumIf(toDecimal128(busy, 0), moment.2 = 'end') AS busy_ns,
    toDecimal128(busy_ns, 6) AS busy_weighted_ns,
    countIf(moment.2 = 'carried') AS carried,
    sumMapIf(map(${duration_index(busy)}, 1::UInt64), moment.2 = 'end') AS durations
FROM
(
    SELECT
        ${resource_names},
        if(is_probe, 'probe', 'access_log') AS source,
        start_ns % 1000000000 AS start_offset_ns,
        end_ns % 1000000000 AS end_offset_ns,
        end_ns - start_ns AS busy,
        response_code >= 500 OR is_grpc_error AS is_error,
        arrayJoin(arrayConcat(
            [(${seconds(start_ns)}, 'start'::Enum8('start' = 1, 'end' = 2, 'carried' = 3)), (${seconds(end_ns)}, 'end')],
            arrayMap(
                day -> (toUInt32(day * 86400), 'carried'),
                range(intDiv(${seconds(start_ns)}, 86400) + 1, intDiv(${seconds(end_ns)}, 86400) + 1)))) AS moment
    FROM access_log_entries
    WHERE form IN ('text', 'json', 'attributes') AND direction = 'inbound' AND is_http
)
GROUP BY
    ${activity_names},
    second
