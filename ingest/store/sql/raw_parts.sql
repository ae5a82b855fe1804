-- The parts of tables that are partitioned by day; of one day if it is given.
SELECT table, partition, name, rows, bytes_on_disk
FROM system.parts
WHERE database = currentDatabase() AND active AND table IN {tables:Array(String)}
  AND ({day:String} = '' OR partition = {day:String})
