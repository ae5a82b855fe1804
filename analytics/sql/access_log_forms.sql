-- One row per form in which lines of proxies came in the range, with their number.
SELECT
    form,
    sum(access_log_1h.lines) AS lines
FROM access_log_1h
WHERE tenant = {tenant:String}
    AND hour >= {start:DateTime('UTC')}
    AND hour < {end:DateTime('UTC')}
GROUP BY form
