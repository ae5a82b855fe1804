-- Log records that tell of a run of a function. Keeps nothing: what reads them is not even planned for an insert without any.
-- form: lambda_line, lambda_event, google_line, alibaba_request. told_id: of the run, by the record's attributes.
CREATE TABLE IF NOT EXISTS function_report_lines
(
    ${resource_columns},
    time_ns UInt64,
    source LowCardinality(String),
    form LowCardinality(String),
    told_id String,
    body String
)
ENGINE = Null
