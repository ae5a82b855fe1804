-- Log records that tell of a run of a function. Keeps nothing: what reads them is not even planned for an insert without any.
-- form: lambda_line, lambda_event, lambda_init_line, lambda_init_event (of an instance, not of a run), google_line, cloud_run_request, alibaba_request, tencent_report. told_id, told_s, told_status: of the
-- run, how many seconds it took and its HTTP status, by the record's attributes.
CREATE TABLE IF NOT EXISTS function_report_lines
(
    ${resource_columns},
    time_ns UInt64,
    source LowCardinality(String),
    form LowCardinality(String),
    told_id String,
    told_s String,
    told_status String,
    body String
)
ENGINE = Null
