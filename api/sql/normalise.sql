-- The statement in one line without comments; NULL unless it is exactly one. The list of databases comes along, so
-- that the check of tables knows what a qualified name may mean at this moment.
SELECT
    formatQuerySingleLineOrNull({statement:String}) AS statement,
    (SELECT groupArray(name) FROM system.databases) AS databases
