-- What the tables of this database take on disk.
SELECT sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase() AND active
