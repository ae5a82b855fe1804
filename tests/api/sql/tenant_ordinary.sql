-- What people of one tenant ask, for test_tenants.py: `-- name` above each. All of it must be answered.

---- ordinary

-- equal
SELECT count() FROM otel_traces WHERE ServiceName = 'herring';

-- unequal
SELECT count() FROM otel_traces WHERE ServiceName != '' AND SpanName <> 'x' AND NOT ServiceName = 'y';

-- one of
SELECT count() FROM otel_traces WHERE ServiceName IN ('herring', 'x') AND SpanName NOT IN ('y');

-- one of a subquery
SELECT count() FROM otel_traces WHERE ServiceName IN (SELECT ServiceName FROM otel_logs WHERE Body != '');

-- by the resource
SELECT ServiceName, ResourceAttributes['service.name'], ResourceJson FROM otel_traces
WHERE simpleJSONExtractString(ResourceJson, 'service.name') = 'herring' AND ResourceAttributes['service.name'] = 'herring'
    AND has(mapKeys(ResourceAttributes), 'service.name') AND ScopeAttributes['x'] = '';

-- calls
SELECT count(), any(workload_name), any(peer_name) FROM half_edges WHERE side = 'caller' AND service_name != 'x';

-- like
SELECT count() FROM otel_traces WHERE ServiceName LIKE 'he%' AND ServiceName ILIKE 'HE%' AND SpanName NOT LIKE 'x%';

-- regular expression
SELECT count() FROM otel_traces WHERE match(ServiceName, '^h') AND ServiceName REGEXP 'g$';

-- text
SELECT lower(ServiceName), upper(ServiceName), length(ServiceName), concat(ServiceName, '/', SpanName), ServiceName || '!',
substring(ServiceName, 1, 3), splitByChar('i', ServiceName)[1], extract(SpanName, '^.'), position(SpanName, 'e') FROM otel_traces;

-- choices
SELECT if(ServiceName = '', 'none', ServiceName) AS s, multiIf(StatusCode = 'Error', 1, 0) AS e, coalesce(nullIf(SpanName, ''), '-'),
CASE StatusCode WHEN 'Error' THEN 'bad' ELSE 'good' END FROM otel_traces;

-- grouped
SELECT ServiceName, SpanName, count() AS n, avg(Duration), quantile(0.95)(Duration) / 1e6 AS p95 FROM otel_traces
GROUP BY ServiceName, SpanName HAVING n > 1 ORDER BY p95 DESC, ServiceName LIMIT 5;

-- counted
SELECT countIf(StatusCode = 'Error') / count() AS share, sum(StatusCode = 'Error') * 100 AS errors, round(share * 100, 2),
uniq(ServiceName), groupUniqArray(ServiceName), sum(if(ServiceName = 'herring', Duration, 0)) FROM otel_traces;

-- over time
SELECT toStartOfInterval(Timestamp, INTERVAL 60 SECOND) AS time, ServiceName, count() FROM otel_traces
WHERE Timestamp >= now() - INTERVAL 1 HOUR AND Timestamp <= toDateTime(4000000000) AND ServiceName = 'herring'
GROUP BY time, ServiceName ORDER BY time WITH FILL STEP INTERVAL 60 SECOND;

-- attributes
SELECT SpanAttributes['http.status_code'] AS code, toUInt16OrZero(code), toFloat64OrNull(SpanAttributes['x']), lower(code),
base64Encode(ResourceAttributes['service.name']), reverse(hex(code)) FROM otel_traces
WHERE has(mapKeys(SpanAttributes), 'x') OR mapContains(ResourceAttributes, 'service.name') OR SpanAttributes['x'] = '';

-- keys of attributes
SELECT arrayJoin(mapKeys(ResourceAttributes)) AS key, count() FROM otel_traces GROUP BY key ORDER BY key;

-- JSON
SELECT simpleJSONExtractString(SpanName, 'k8s.namespace.name') AS n, JSONExtractString(SpanName, 'a', 'b') FROM otel_traces
WHERE simpleJSONExtractString(SpanName, 'k8s.namespace.name') = '' GROUP BY ALL;

-- columns without a dictionary
SELECT base64Decode(base64Encode(TraceId)), hex(SpanId), intDiv(Duration, 1000), formatDateTime(Timestamp, '%F'),
JSONExtractKeys(Body) FROM otel_traces AS t LEFT JOIN otel_logs AS l ON t.TraceId = l.TraceId;

-- taken out
SELECT DISTINCT base64Decode(CAST(SpanName, 'String')), hex(SpanName::String), base64Decode(x) FROM
(SELECT *, CAST(SpanName AS Nullable(String)) AS x FROM otel_traces);

-- taken out of arrays
SELECT arrayMap(x -> base64Decode(x), CAST(Events.Name, 'Array(String)')) FROM otel_traces;

-- aggregated, then anything
SELECT base64Decode(max(SpanName)), hex(any(ServiceName)), arrayMap(x -> hex(x), groupArray(SpanName)) FROM otel_traces;

-- in a window
SELECT hex(lagInFrame(ServiceName) OVER (PARTITION BY SpanName ORDER BY Timestamp)) FROM otel_traces;

-- numbers of numbers
SELECT toUInt8(ServiceName = 'herring') + 1, toString(length(ServiceName)), ceil(length(SpanName) / 2) FROM otel_traces;

-- parameters
SELECT count() FROM otel_traces WHERE ServiceName = {service:String} AND SpanName IN {spans:Array(String)};

-- joined
SELECT t.ServiceName, l.Body, dateDiff('second', t.Timestamp, l.Timestamp) FROM otel_traces AS t JOIN otel_logs AS l USING (ServiceName)
WHERE lower(l.SeverityText) != 'x';

-- a union
SELECT round(avg(v), 2) FROM (SELECT Duration AS v, ServiceName AS s FROM otel_traces UNION ALL SELECT 1, ServiceName FROM otel_logs)
WHERE s != '';

-- scalars
WITH (SELECT max(Duration) FROM otel_traces) AS top SELECT intDiv(Duration, top + 1), exists(SELECT 1 FROM otel_logs) FROM otel_traces;

-- metrics
SELECT toStartOfMinute(TimeUnix) AS time, MetricName, avg(Value), intDiv(toUInt64(sum(Value)), 2) FROM otel_metrics_gauge
WHERE MetricName LIKE 'aG%' AND Attributes['x'] = '' GROUP BY ALL ORDER BY time;

-- a search for traces
SELECT TraceId AS traceID, ServiceName AS serviceName, SpanName AS operationName, Timestamp AS startTime,
multiply(Duration, 0.000001) AS duration FROM otel_traces WHERE (Timestamp >= now() - toIntervalHour(1)) AND (ParentSpanId = '')
AND (Duration > 0 OR Duration = 0) AND (ServiceName ILIKE '%') ORDER BY Timestamp DESC, Duration DESC LIMIT 100;

-- a trace
WITH 'herring1' AS trace_id SELECT TraceId AS traceID, SpanId AS spanID, ParentSpanId AS parentSpanID, ServiceName AS serviceName,
SpanName AS operationName, multiply(toUnixTimestamp64Nano(Timestamp), 0.000001) AS startTime, multiply(Duration, 0.000001) AS duration,
arrayMap(key -> map('key', key, 'value', SpanAttributes[key]), mapKeys(SpanAttributes)) AS tags,
arrayMap(key -> map('key', key, 'value', ResourceAttributes[key]), mapKeys(ResourceAttributes)) AS serviceTags,
if(StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 2, 0) AS statusCode,
arrayMap((name, timestamp, attributes) -> tuple(name, toString(toUnixTimestamp64Milli(timestamp)),
arrayMap(key -> map('key', key, 'value', attributes[key]), mapKeys(attributes)))::Tuple(name String, timestamp String,
fields Array(Map(String, String))), Events.Name, Events.Timestamp, Events.Attributes) AS logs,
arrayMap((traceID, spanID, attributes) -> tuple(traceID, spanID, arrayMap(key -> map('key', key, 'value', attributes[key]),
mapKeys(attributes)))::Tuple(traceID String, spanID String, tags Array(Map(String, String))), Links.TraceId, Links.SpanId,
Links.Attributes) AS references FROM otel_traces WHERE traceID = trace_id ORDER BY startTime ASC LIMIT 1000;

-- logs
SELECT Timestamp AS "timestamp", Body AS "body", SeverityText AS "level", LogAttributes AS "labels", TraceId AS "traceID"
FROM otel_logs WHERE (timestamp >= now() - toIntervalHour(1)) AND (level ILIKE '%') AND (body ILIKE '%herring%')
ORDER BY timestamp DESC LIMIT 10;

-- how many logs of each level
SELECT toStartOfInterval("Timestamp", INTERVAL 1 minute) AS "time", sum(toInt32(lower("SeverityText") IN ('error', 'err'))) AS error,
sum(multiSearchAny(lower(SeverityText), ['warn', 'warning'])) AS warn FROM otel_logs GROUP BY time ORDER BY time;

-- attributes by their index
SELECT count() FROM otel_traces WHERE has(SpanAttributeItems, 'http.route=/pay');
SELECT count() FROM otel_logs WHERE hasAny(LogAttributeItems, ['order=A-7', 'order=A-8']);

-- lists of what there is
SELECT name, type, upper(type) FROM system.columns WHERE database = currentDatabase() AND table = 'otel_traces';

-- clusters
SELECT count(), any(name), any(labels['node']) FROM kubernetes_facts FINAL WHERE period > now() - INTERVAL 1 DAY;
SELECT count(), any(workload_name), sum(cpu_request_cores), any(ready_at) FROM kubernetes_pods WHERE namespace != 'x';
SELECT count(), any(host_type), any(capacity_type) FROM kubernetes_nodes WHERE day = today();
SELECT count(), any(claim), sum(capacity_bytes) FROM kubernetes_volumes;
SELECT count(), any(addresses) FROM kubernetes_load_balancers;
SELECT count(), max(desired_replicas) FROM kubernetes_autoscalers;
