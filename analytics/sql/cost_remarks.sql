-- One row per thing of which there is something to say in days whose postings are given.
SELECT DISTINCT
    remark,
    name
FROM cost_remarks
WHERE tenant = {tenant:String}
    AND day IN {days:Array(Date)}
    AND posting IN {postings:Array(UInt64)}
