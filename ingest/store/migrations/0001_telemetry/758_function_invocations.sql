-- Runs of functions, one row each, however many records tell of it. attempt: a run that is tried again keeps its invocation_id.
CREATE VIEW IF NOT EXISTS function_invocations AS
${invocations(function_invocation_records)}
