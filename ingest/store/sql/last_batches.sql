-- The last batch of which each of these parts has a row.
SELECT _part, max(_batch) FROM {table:Identifier} WHERE _part IN {parts:Array(String)} GROUP BY _part
