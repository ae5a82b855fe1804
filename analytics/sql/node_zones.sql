-- In which zones nodes of clusters were on the days of the range: more than one row for a node of which two are told.
SELECT DISTINCT
    cluster,
    node,
    zone
FROM nodes_1m
WHERE tenant = {tenant:String}
    AND toDate(minute) >= toDate({start:DateTime('UTC')})
    AND toDate(minute) <= toDate({end:DateTime('UTC')})
    AND node != ''
    AND zone != ''
