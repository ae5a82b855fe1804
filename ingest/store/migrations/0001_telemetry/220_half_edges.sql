-- One side of a call each. A caller's row (CLIENT, PRODUCER) and its callee's (SERVER, CONSUMER with a parent) carry the
-- same trace_id and edge_id, the caller's span id; a consumer that links to what it took has a row per link. They may
-- arrive in any order and in different inserts; a job matches them. Read from spans as they lie: what a job reads once
-- need not be written, sorted by trace and merged as well (ADR 17).
-- peer_*: what a caller says it called, for callees that send no telemetry: a database, a queue, a host.
CREATE VIEW IF NOT EXISTS half_edges AS
WITH ${in_resource(ResourceJson)}
SELECT
    tenant,
    Timestamp,
    edge.1 AS trace_id,
    edge.2 AS edge_id,
    edge.3 AS side,
    span_id,
    ${identity},
    operation,
    ${source} AS source,
    if(side != 'caller', '', multiIf(
        attributes['db.system.name'] != '' OR attributes['db.system'] != '', 'database',
        kind = 4 OR attributes['messaging.system'] != '', 'messaging',
        attributes['faas.invoked_name'] != '', 'function',
        attributes['rpc.system'] != '', 'rpc',
        'http')) AS peer_kind,
    if(side != 'caller', '', arrayFirst(text -> text != '', [
        attributes['peer.service'], attributes['faas.invoked_name'], attributes['messaging.destination.name'],
        attributes['server.address'], attributes['net.peer.name'], attributes['rpc.service'],
        attributes['db.namespace'], attributes['db.system.name'], attributes['db.system']])) AS peer_name,
    duration_ns,
    is_error,
    weight
FROM
(
    SELECT
        tenant,
        Timestamp,
        ResourceJson,
        SpanId AS span_id,
        SpanName AS operation,
        SpanAttributes AS attributes,
        indexOf(${kinds}, SpanKind) - 1 AS kind,
        Duration AS duration_ns,
        StatusCode = 'Error' AS is_error,
        ${weight(TraceState)} AS weight,
        arrayJoin(arrayConcat(
            multiIf(
                kind IN (3, 4), [(TraceId, SpanId, 'caller'::Enum8('caller' = 1, 'callee' = 2, 'link' = 3))],
                kind IN (2, 5) AND ParentSpanId != '', [(TraceId, ParentSpanId, 'callee')],
                []),
            if(kind = 5, arrayMap((trace, id) -> (trace, id, 'link'), Links.TraceId, Links.SpanId), []))) AS edge
    FROM otel_traces
    WHERE SpanKind IN ('Client', 'Producer', 'Server', 'Consumer')
)
