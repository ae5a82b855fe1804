-- A point and its series, which is stored with the first point of each day and may be stored several times.
INNER JOIN
(
    SELECT * FROM metric_series WHERE kind = '$1' LIMIT 1 BY tenant, fingerprint
) AS series ON point.tenant = series.tenant AND point.fingerprint = series.fingerprint
