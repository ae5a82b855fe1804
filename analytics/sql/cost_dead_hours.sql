-- Which rows of a table by the hour do not count any more: for their day there is a later posting from before {before}.
(tenant, toDate(hour), posting) IN
(
    SELECT of_day.tenant, of_day.day, of_day.posting
    FROM (SELECT DISTINCT tenant, toDate(hour) AS day, posting FROM {table:Identifier}) AS of_day
    INNER JOIN
    (
        SELECT tenant, day, max(cost_days.posting) AS counts
        FROM cost_days
        WHERE posting < {before:UInt64}
        GROUP BY tenant, day
    ) AS settled ON of_day.tenant = settled.tenant AND of_day.day = settled.day
    WHERE of_day.posting < settled.counts
)
