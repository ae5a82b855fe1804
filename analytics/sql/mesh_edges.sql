-- One row per edge, as one proxy or log told it, and hour in which it was heard: what its counters grew by, and what came as growth.
-- A counter that fell has begun again. One that appears while its proxy is read began at nought: older counters of that proxy are
-- heard before and after; if they are not, all got new labels, or the proxy is new, and its first value says nothing.
-- Read from ten minutes before the range, where the last values before it are.
SELECT
    ${mesh_edge_names},
    toStartOfHour(minute) AS hour,
    sum(requests) AS requests,
    sum(request_bytes) AS request_bytes,
    sum(response_bytes) AS response_bytes,
    sum(connections) AS connections,
    sum(duration_ms) AS duration_ms
FROM
(
    SELECT
        ${mesh_edge_names},
        minute,
        ${growth(requests)} + requests_grown + 2 * ifNull(per_30s, 0) AS requests,
        ${growth(request_bytes)} + request_bytes_grown AS request_bytes,
        ${growth(response_bytes)} + response_bytes_grown AS response_bytes,
        ${growth(connections)} + connections_grown AS connections,
        ${growth(duration_ms)} + duration_ms_grown AS duration_ms
    FROM
    (
        SELECT
            *,
            first_minute = minute AND ifNull(minOrNull(first_minute) OVER (
                PARTITION BY tenant, instance ORDER BY minute RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) < minute, 0)
                AS appeared
        FROM
        (
            SELECT
                ${mesh_edge_names},
                instance,
                counter,
                minute,
                min(minute) OVER (PARTITION BY ${mesh_edge_names}, instance, counter) AS first_minute,
                max(mesh_edges_1m.requests_total) AS requests_now,
                max(mesh_edges_1m.request_bytes_total) AS request_bytes_now,
                max(mesh_edges_1m.response_bytes_total) AS response_bytes_now,
                max(mesh_edges_1m.connections_total) AS connections_now,
                max(mesh_edges_1m.duration_ms_total) AS duration_ms_now,
                sum(requests_delta) AS requests_grown,
                sum(request_bytes_delta) AS request_bytes_grown,
                sum(response_bytes_delta) AS response_bytes_grown,
                sum(connections_delta) AS connections_grown,
                sum(duration_ms_delta) AS duration_ms_grown,
                sum(per_30s_sum) / nullIf(sum(per_30s_samples), 0) AS per_30s
            FROM mesh_edges_1m
            WHERE tenant = {tenant:String}
                AND minute >= {start:DateTime('UTC')} - INTERVAL 10 MINUTE
                AND minute < {end:DateTime('UTC')}
            GROUP BY
                ${mesh_edge_names},
                instance,
                counter,
                minute
        )
    )
    WINDOW before AS (
        PARTITION BY
            ${mesh_edge_names},
            instance,
            counter
        ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
WHERE minute >= {start:DateTime('UTC')}
GROUP BY
    ${mesh_edge_names},
    hour
