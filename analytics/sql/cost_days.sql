-- One row per day whose costs are computed: the posting that counts.
SELECT
    day,
    max(cost_days.posting) AS posting,
    argMax(cost_days.records, cost_days.posting) AS records,
    argMax(cost_days.terms, cost_days.posting) AS terms,
    argMax(cost_days.total_nano, cost_days.posting) AS total_nano
FROM cost_days
WHERE tenant = {tenant:String}
    AND day >= toDate({start:DateTime('UTC')})
    AND day < toDate({end:DateTime('UTC')})
GROUP BY day
