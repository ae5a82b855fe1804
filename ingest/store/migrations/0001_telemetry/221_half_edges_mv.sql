-- peer_*: what a caller says it called, for callees that send no telemetry: a database, a queue, a host.
CREATE MATERIALIZED VIEW IF NOT EXISTS half_edges_mv TO half_edges AS
SELECT
    tenant,
    ${time(start_ns)} AS Timestamp,
    edge.1 AS trace_id,
    edge.2 AS edge_id,
    edge.3 AS side,
    span_id,
    ${identity_names},
    service_namespace,
    service_name,
    name AS operation,
    source,
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
    end_ns - start_ns AS duration_ns,
    status_code = 2 AS is_error,
    weight
FROM
(
    SELECT
        *,
        arrayJoin(arrayConcat(
            multiIf(
                kind IN (3, 4), [(trace_id, span_id, 'caller'::Enum8('caller' = 1, 'callee' = 2, 'link' = 3))],
                kind IN (2, 5) AND parent_span_id != '', [(trace_id, parent_span_id, 'callee')],
                []),
            if(kind = 5, arrayMap((trace, id) -> (trace, id, 'link'), link_trace_ids, link_span_ids), []))) AS edge
    FROM spans
    WHERE kind BETWEEN 2 AND 5
)
