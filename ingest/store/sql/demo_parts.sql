-- The parts a table has now.
SELECT name FROM system.parts WHERE database = currentDatabase() AND table = {table:String} AND active
