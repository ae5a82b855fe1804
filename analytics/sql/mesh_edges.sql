-- One row per edge, as one proxy (instance) or its log told it, and hour in which it was heard: what its counters grew by, and what came as growth.
-- A counter that fell has begun again. One that appears while its proxy is read began at nought: older counters of that proxy are
-- heard before and after; if they are not, all got new labels, or the proxy is new, and its first value says nothing. A queue proxy of
-- Knative's is new with its pod, often for one request; it began at nought if Knative's autoscaler was heard five minutes before.
-- Names come in at the end: until then a counter is its number. Ask by the day, since what is read is held in memory.
WITH
    grown AS
    (
        SELECT
            counter,
            minute,
            counter IN (
                SELECT counter
                FROM
                (
                    SELECT
                        counter,
                        instance,
                        any(mesh) AS of_mesh,
                        min(minute) AS first_minute,
                        max(minute) AS last_minute,
                        max(last_minute) OVER (
                            PARTITION BY instance ORDER BY first_minute RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                            AS older_until
                    FROM mesh_edges_1m
                    WHERE ${mesh_edges_read}
                    GROUP BY counter, instance
                )
                WHERE older_until > first_minute
                    OR (of_mesh = 'knative' AND ifNull(first_minute > (
                        SELECT minOrNull(minute) + INTERVAL 5 MINUTE
                        FROM autoscaling_1m
                        WHERE ${mesh_edges_read} AND autoscaler = 'knative' AND measure != 'queue_depth'), 0))
            ) AS appeared,
            ${growth(requests)} + requests_grown + 2 * ifNull(per_30s, 0) AS requests,
            ${growth(request_bytes)} + request_bytes_grown AS request_bytes,
            ${growth(response_bytes)} + response_bytes_grown AS response_bytes,
            ${growth(connections)} + connections_grown AS connections,
            ${growth(duration_ms)} + duration_ms_grown AS duration_ms
        FROM
        (
            SELECT
                counter,
                minute,
                max(requests_total) AS requests_now,
                max(request_bytes_total) AS request_bytes_now,
                max(response_bytes_total) AS response_bytes_now,
                max(connections_total) AS connections_now,
                max(duration_ms_total) AS duration_ms_now,
                sum(requests_delta) AS requests_grown,
                sum(request_bytes_delta) AS request_bytes_grown,
                sum(response_bytes_delta) AS response_bytes_grown,
                sum(connections_delta) AS connections_grown,
                sum(duration_ms_delta) AS duration_ms_grown,
                sum(per_30s_sum) / nullIf(sum(per_30s_samples), 0) AS per_30s
            FROM mesh_edges_1m
            WHERE ${mesh_edges_read}
            GROUP BY counter, minute
        )
        WINDOW before AS (PARTITION BY counter ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    )
SELECT
    ${mesh_edge_names},
    instance,
    hour,
    sum(counted.requests) AS requests,
    sum(counted.request_bytes) AS request_bytes,
    sum(counted.response_bytes) AS response_bytes,
    sum(counted.connections) AS connections,
    sum(counted.duration_ms) AS duration_ms
FROM
(
    SELECT
        counter,
        toStartOfHour(minute) AS hour,
        sum(grown.requests) AS requests,
        sum(grown.request_bytes) AS request_bytes,
        sum(grown.response_bytes) AS response_bytes,
        sum(grown.connections) AS connections,
        sum(grown.duration_ms) AS duration_ms
    FROM grown
    WHERE minute >= {start:DateTime('UTC')} AND minute < {end:DateTime('UTC')}
    GROUP BY counter, hour
) AS counted
INNER JOIN
(
    SELECT
        ${mesh_edge_names},
        instance,
        counter
    FROM mesh_edges_1m
    WHERE ${mesh_edges_read}
    LIMIT 1 BY counter
) AS edge USING (counter)
GROUP BY
    ${mesh_edge_names},
    instance,
    hour
