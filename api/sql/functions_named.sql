-- Which of these names, in any case, are functions of the engine.
SELECT name FROM system.functions WHERE lower(name) IN ({names:Array(String)})
