-- Rows that say themselves whose they are.
is_demo = 1
