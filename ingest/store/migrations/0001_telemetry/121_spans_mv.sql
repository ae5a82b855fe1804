-- Unfolds the spans of a resource.
CREATE MATERIALIZED VIEW IF NOT EXISTS spans_mv TO spans AS
WITH ${in_resource(resource_json)}
SELECT
    ${resource_names},
    scope_name,
    scope_version,
    scope_json,
    scope_schema_url,
    lower(hex(${span.trace_id})) AS trace_id,
    lower(hex(${span.span_id})) AS span_id,
    lower(hex(${span.parent_span_id})) AS parent_span_id,
    ${span.trace_state} AS trace_state,
    ${span.name} AS name,
    if(${span.kind} BETWEEN 0 AND 5, ${span.kind}, 0)::UInt8 AS kind,
    ${span.start_time_unix_nano} AS start_ns,
    ${span.end_time_unix_nano} AS end_ns,
    ${attributes_of(span)} AS attributes,
    ${span.flags} AS flags,
    ${span.size_bytes} AS size_bytes,
    if(${span.status.code} BETWEEN 0 AND 2, ${span.status.code}, 0)::UInt8 AS status_code,
    ${span.status.message} AS status_message,
    ${span.events.time_unix_nano} AS event_times,
    ${span.events.name} AS event_names,
    arrayMap(event -> ${attribute_map(event)}, ${span.events.attributes}) AS event_attributes,
    arrayMap(id -> lower(hex(id)), ${span.links.trace_id}) AS link_trace_ids,
    arrayMap(id -> lower(hex(id)), ${span.links.span_id}) AS link_span_ids,
    ${span.links.trace_state} AS link_trace_states,
    arrayMap(link -> ${attribute_map(link)}, ${span.links.attributes}) AS link_attributes,
    ${weight(trace_state)} AS weight,
    ${source} AS source
FROM
(
    SELECT
        ${scoped_names},
        arrayJoin(spans) AS span
    FROM
    (
        ${scopes_of(trace_resources, scope_spans, spans)}
    )
)
