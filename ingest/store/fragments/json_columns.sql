-- What the resource and the scope say of themselves: as JSON, which lies once in a part for all rows that share it, and
-- under the names of the exporter, which are computed as they are read.
ResourceJson LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) ALIAS ${map_of(ResourceJson)},
    ScopeJson LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) ALIAS ${map_of(ScopeJson)}
