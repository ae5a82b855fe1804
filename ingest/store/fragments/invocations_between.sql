-- Runs of functions of a tenant that ended in a range, each once. What is told of a run lies within minutes of its end, hence the margin.
WITH
    records_near AS
    (
        SELECT *
        FROM function_invocation_records
        WHERE tenant = {tenant:String}
            AND ended_at >= {start:DateTime('UTC')} - INTERVAL 1 HOUR
            AND ended_at < {end:DateTime('UTC')} + INTERVAL 1 HOUR
    )
SELECT *
FROM
(
    ${invocations(records_near)}
)
WHERE ended_at >= {start:DateTime('UTC')} AND ended_at < {end:DateTime('UTC')}
