-- Statements of one tenant about another one's rows, for test_tenants.py: `---- section`, then `-- name` above each.

---- answered

-- plain
SELECT DISTINCT tenant, ServiceName FROM otel_traces;

-- qualified
SELECT DISTINCT ServiceName FROM {db}.otel_traces;

-- named
SELECT DISTINCT ServiceName FROM otel_traces WHERE tenant = 'tenants-other' OR 1;

-- or
SELECT DISTINCT ServiceName FROM otel_traces WHERE ServiceName = 'kraken' OR tenant != '';

-- not
SELECT DISTINCT ServiceName FROM otel_traces WHERE NOT (tenant = 'tenants-mine');

-- asterisk
SELECT * FROM otel_traces;

-- asterisk of a subquery
SELECT * FROM (SELECT * FROM (SELECT * FROM otel_traces));

-- count
SELECT throwIf(count() != 20) FROM otel_traces;

-- minimum and maximum
SELECT min(ServiceName), max(ServiceName), min(tenant), max(tenant) FROM otel_traces;

-- alias
SELECT DISTINCT x.ServiceName FROM otel_traces AS x;

-- alias of another table
SELECT DISTINCT ServiceName FROM otel_traces AS red_1m;

-- alias with a dot
SELECT DISTINCT ServiceName FROM otel_traces AS `{db}.metric_series`;

-- alias of no tenant
SELECT DISTINCT ServiceName FROM otel_traces AS `{db}.spans`;

-- column called tenant
SELECT 'tenants-mine' AS tenant, ServiceName FROM otel_traces GROUP BY ALL;

-- column renamed
SELECT DISTINCT ServiceName AS tenant FROM otel_traces;

-- with
WITH t AS (SELECT * FROM otel_traces) SELECT DISTINCT ServiceName FROM t;

-- with scalar
WITH (SELECT groupUniqArray(ServiceName) FROM otel_traces) AS t SELECT t;

-- with named as the table
WITH otel_traces AS (SELECT * FROM {db}.otel_traces) SELECT DISTINCT ServiceName FROM otel_traces;

-- recursion
WITH RECURSIVE r AS (SELECT 1 AS n, (SELECT max(ServiceName) FROM otel_traces) AS s UNION ALL SELECT n + 1,
(SELECT max(ServiceName) FROM otel_traces) FROM r WHERE n < 3) SELECT * FROM r;

-- scalar subquery
SELECT (SELECT groupUniqArray(ServiceName) FROM otel_traces);

-- exists
SELECT throwIf(exists(SELECT 1 FROM otel_traces WHERE ServiceName = 'kraken'));

-- in
SELECT throwIf('kraken' IN (SELECT ServiceName FROM otel_traces));

-- not in
SELECT throwIf('kraken' NOT IN (SELECT ServiceName FROM otel_traces) = 0);

-- global in
SELECT throwIf('kraken' GLOBAL IN (SELECT ServiceName FROM otel_traces));

-- union
SELECT ServiceName FROM otel_traces UNION DISTINCT SELECT MetricName FROM metric_series;

-- union all
SELECT ServiceName FROM otel_traces UNION ALL SELECT Body FROM otel_logs;

-- except
SELECT ServiceName FROM otel_traces EXCEPT SELECT 'herring';

-- intersect
SELECT ServiceName FROM otel_traces INTERSECT SELECT 'kraken';

-- inner join
SELECT DISTINCT b.ServiceName FROM otel_logs a JOIN otel_traces b ON a.Timestamp != b.Timestamp;

-- left join
SELECT DISTINCT b.ServiceName FROM (SELECT 1 AS k) a LEFT JOIN otel_traces b ON a.k = toUInt8(b.ServiceName != '');

-- right join
SELECT DISTINCT b.ServiceName FROM otel_logs a RIGHT JOIN otel_traces b ON a.Body = b.ServiceName;

-- full join
SELECT DISTINCT b.ServiceName, a.Body FROM otel_logs a FULL JOIN otel_traces b ON a.Body = b.TraceId;

-- cross join
SELECT DISTINCT b.ServiceName FROM numbers(2) a CROSS JOIN otel_traces b;

-- comma
SELECT DISTINCT b.ServiceName FROM otel_logs a, otel_traces b;

-- semi join
SELECT DISTINCT b.ServiceName FROM otel_traces b SEMI LEFT JOIN otel_logs a ON a.Body = b.ServiceName;

-- anti join
SELECT DISTINCT b.ServiceName FROM otel_traces b ANTI LEFT JOIN otel_logs a ON a.Body = b.TraceId;

-- asof join
SELECT DISTINCT b.ServiceName FROM otel_logs a ASOF JOIN otel_traces b ON a.ServiceName = b.ServiceName AND
a.Timestamp >= b.Timestamp;

-- joined subquery
SELECT DISTINCT b.s FROM numbers(1) a JOIN (SELECT ServiceName AS s, 0 AS number FROM otel_traces) b USING
number;

-- array join
SELECT DISTINCT x FROM otel_traces ARRAY JOIN [ServiceName, tenant] AS x;

-- array join of a map
SELECT DISTINCT v FROM otel_traces ARRAY JOIN mapValues(ResourceAttributes) AS v;

-- window
SELECT DISTINCT lagInFrame(ServiceName) OVER (ORDER BY Timestamp) FROM otel_traces;

-- neighbours
SELECT any(ServiceName) OVER (ORDER BY Timestamp ROWS BETWEEN 30 PRECEDING AND 30 FOLLOWING) FROM
otel_traces;

-- qualify
SELECT ServiceName FROM otel_traces QUALIFY row_number() OVER (ORDER BY ServiceName DESC) < 3;

-- having
SELECT ServiceName FROM otel_traces GROUP BY ServiceName HAVING max(tenant) != 'tenants-mine';

-- totals
SELECT ServiceName, count() FROM otel_traces GROUP BY ServiceName WITH TOTALS;

-- cube
SELECT ServiceName, tenant, count() FROM otel_traces GROUP BY CUBE(ServiceName, tenant);

-- limit by
SELECT ServiceName FROM otel_traces ORDER BY ServiceName DESC LIMIT 1 BY tenant;

-- with ties
SELECT ServiceName FROM otel_traces ORDER BY tenant DESC LIMIT 1 WITH TIES;

-- offset
SELECT ServiceName FROM otel_traces LIMIT 5 OFFSET 20;

-- negative order
SELECT ServiceName FROM otel_traces ORDER BY ServiceName DESC LIMIT 1;

-- fill
SELECT ServiceName FROM otel_traces ORDER BY Timestamp WITH FILL;

-- states
SELECT uniqExactMerge(s) FROM (SELECT uniqExactState(ServiceName) AS s FROM otel_traces);

-- group array
SELECT groupArray(ServiceName), topK(5)(ServiceName), anyLast(ServiceName) FROM otel_traces;

-- virtual columns
SELECT DISTINCT _part, _table, ServiceName FROM otel_traces;

-- columns
SELECT COLUMNS('Service') FROM otel_traces;

-- apply
SELECT * APPLY max FROM otel_traces;

-- replace
SELECT * REPLACE ('someone' AS tenant) FROM otel_traces;

-- view
SELECT DISTINCT MetricName FROM otel_metrics_gauge;

-- view of sums
SELECT DISTINCT ServiceName, MetricName FROM otel_metrics_sum;

-- materialized view
SELECT DISTINCT ServiceName FROM otel_traces_mv;

-- materialized view, qualified
SELECT DISTINCT ServiceName FROM {db}.otel_traces_mv;

-- table without tenants
SELECT * FROM spans;

-- source of everything
SELECT * FROM otlp_traces;

-- lambda
SELECT arrayMap(x -> x, groupUniqArray(ServiceName)) FROM otel_traces;

-- correlated
SELECT DISTINCT a.ServiceName FROM otel_traces a WHERE EXISTS (SELECT 1 FROM otel_traces b WHERE b.TraceId =
a.TraceId AND b.ServiceName = 'kraken');

-- names of tables
SELECT name FROM system.tables WHERE database = currentDatabase();

-- columns of tables
SELECT table, name, type FROM system.columns WHERE database = currentDatabase();

-- information schema
SELECT table_name, column_name FROM information_schema.columns;

-- show tables
SHOW TABLES;

-- describe
DESCRIBE TABLE otel_traces;

-- show create
SHOW CREATE TABLE otel_traces;

---- errors

-- throwing where
SELECT count() FROM otel_traces WHERE throwIf(ServiceName = 'kraken', 'leak') = 0;

-- parsing where
SELECT count() FROM otel_traces WHERE ServiceName != 'herring' AND toUInt64(ServiceName) = 0;

-- dividing where
SELECT count() FROM otel_traces WHERE intDiv(1, toUInt8(ServiceName != 'kraken')) = 1;

-- casting where
SELECT count() FROM otel_traces WHERE TraceId NOT LIKE 'herring%' AND TraceId::UInt64 = 1;

-- parsing a date
SELECT count() FROM otel_traces WHERE ServiceName = 'herring' OR toDate(ServiceName) = today();

-- in a join
SELECT count() FROM otel_logs a JOIN otel_traces b ON a.Timestamp != b.Timestamp AND throwIf(b.ServiceName =
'kraken', 'leak') = 0;

-- left of a join
SELECT count() FROM otel_traces a JOIN otel_logs b ON a.ServiceName = b.ServiceName WHERE
throwIf(a.ServiceName = 'kraken', 'leak') = 0;

-- in a subquery
SELECT count() FROM (SELECT * FROM otel_traces) WHERE throwIf(ServiceName = 'kraken', 'leak') = 0;

-- behind a limit
SELECT count() FROM (SELECT * FROM otel_traces LIMIT 100) WHERE throwIf(ServiceName = 'kraken') = 0;

-- in a select
SELECT throwIf(ServiceName = 'kraken', 'leak') FROM otel_traces;

-- in an aggregate
SELECT max(throwIf(ServiceName = 'kraken', 'leak')) FROM otel_traces;

-- in a group
SELECT count() FROM otel_traces GROUP BY throwIf(ServiceName = 'kraken', 'leak');

-- in an order
SELECT 1 FROM otel_traces ORDER BY throwIf(ServiceName = 'kraken', 'leak') LIMIT 1;

-- in a map
SELECT count() FROM otel_traces WHERE throwIf(ResourceAttributes['service.name'] = 'kraken') = 0;

-- of a view
SELECT count() FROM otel_metrics_gauge WHERE throwIf(MetricName = 'kraken', 'leak') = 0;

-- of a materialized view
SELECT count() FROM otel_traces_mv WHERE throwIf(ServiceName = 'kraken', 'leak') = 0;

-- of the series
SELECT count() FROM metric_series WHERE throwIf(MetricName = 'kraken', 'leak') = 0;

-- if
SELECT count() FROM otel_traces WHERE if(ServiceName = 'kraken', throwIf(1, 'leak'), 1);

-- with an index
SELECT count() FROM otel_traces WHERE throwIf(TraceId = 'kraken1') = 0 AND TraceId = 'kraken1';

---- refused

SELECT count() FROM otel_traces PREWHERE throwIf(ServiceName = 'kraken') = 0;

SELECT 1 WHERE 1 IN (SELECT 1 FROM otel_traces PREWHERE toUInt64(ServiceName) = 1);

SELECT ServiceName FROM otel_traces SETTINGS additional_table_filters = {};

SELECT * FROM (SELECT ServiceName FROM otel_traces SETTINGS additional_table_filters = {});

SET additional_table_filters = {};

SELECT ServiceName FROM merge('', 'otel_traces');

SELECT ServiceName FROM merge('otel_.*');

SELECT ServiceName FROM remote('127.0.0.1', currentDatabase(), otel_traces);

SELECT ServiceName FROM cluster('default', currentDatabase(), otel_traces);

SELECT ServiceName FROM loop(otel_traces);

SELECT ServiceName FROM view(SELECT ServiceName FROM otel_traces);

SELECT * FROM mergeTreeIndex(currentDatabase(), otel_traces);

SELECT * FROM mergeTreeParts(currentDatabase(), otel_traces);

SELECT * FROM mergeTreeTextIndex(currentDatabase(), otel_traces, idx);

SELECT * FROM dictionary('x');

SELECT dictGet('x', 'y', 1);

SELECT joinGet('x', 'y', 1);

SELECT * FROM system.parts;

SELECT * FROM system.parts_columns;

SELECT * FROM system.query_log;

SELECT query FROM system.processes;

SELECT * FROM system.tables;

SELECT t.* FROM system.tables AS t;

SELECT * EXCEPT name FROM system.tables;

SELECT COLUMNS('rows') FROM system.tables;

SELECT total_rows FROM system.tables;

SELECT name FROM system.tables ORDER BY total_rows;

SELECT name FROM system.tables WHERE total_bytes > 1000;

SELECT sum(t.total_rows) FROM system.tables AS t;

SELECT data_compressed_bytes FROM system.columns;

SELECT name FROM system.columns WHERE marks_bytes > 10;

SELECT data_uncompressed_bytes FROM system.data_skipping_indices;

SELECT table_rows FROM information_schema.tables;

SELECT TABLE_ROWS FROM INFORMATION_SCHEMA.TABLES;

SELECT * FROM information_schema.tables;

DESCRIBE (SELECT * FROM system.tables);

EXPLAIN ESTIMATE SELECT * FROM otel_traces;

CREATE TEMPORARY TABLE t AS SELECT * FROM otel_traces;
