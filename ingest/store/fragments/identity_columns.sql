cluster LowCardinality(String),
    environment LowCardinality(String),
    namespace LowCardinality(String),
    workload_kind LowCardinality(String),
    workload_name LowCardinality(String)
