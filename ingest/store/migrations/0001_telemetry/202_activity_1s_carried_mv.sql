-- Spans that run over midnights: one row for each of those. They are counted by first and last day before they are
-- unfolded, so that many long spans at once stay small.
CREATE MATERIALIZED VIEW IF NOT EXISTS activity_1s_carried_mv TO activity_1s AS
SELECT
    ${activity_names},
    toDateTime(arrayJoin(range(first_day + 1, last_day + 1)) * 86400, 'UTC') AS second,
    spans AS carried
FROM
(
    SELECT
        ${activity_names},
        intDiv(${seconds(start_ns)}, 86400) AS first_day,
        intDiv(${seconds(end_ns)}, 86400) AS last_day,
        count() AS spans
    FROM spans
    WHERE ${is_request} AND intDiv(${seconds(start_ns)}, 86400) < intDiv(${seconds(end_ns)}, 86400)
    GROUP BY
        ${activity_names},
        first_day,
        last_day
)
