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

-- view with a subquery that is cut to a row for each series and time
SELECT DISTINCT MetricName FROM prometheus_samples;

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

---- dictionaries

-- quoting
SELECT count() FROM otel_traces WHERE base64Decode(SpanName) = '';

-- in a select
SELECT DISTINCT base64Decode(SpanName) FROM otel_traces;

-- by another name
SELECT count() FROM otel_traces WHERE FROM_BASE64(SpanName) = '';

-- in another case
SELECT count() FROM otel_traces WHERE from_base64(SpanName) = '';

-- with other functions
SELECT count() FROM otel_traces WHERE length(base64Decode(lower(trimBoth(SpanName)))) = 0;

-- asking yes or no
SELECT count() FROM otel_traces WHERE bitTest(1, 100 * (SpanName = 'kraken'));

-- asking yes or no, by a letter
SELECT count() FROM otel_traces WHERE factorial(30 * startsWith(SpanName, 'k')) = 0;

-- asking yes or no, by a position
SELECT count() FROM otel_traces WHERE base64Decode(substring('YWJj!', 1, 4 + (SpanName = 'kraken'))) = '';

-- asking yes or no, by a comparison
SELECT count() FROM otel_traces WHERE toDecimal32('1', 8) = 4000000000 * (SpanName = 'kraken');

-- asking yes or no, by a case
SELECT CASE toDecimal32('1', 8) WHEN 4000000000 * (SpanName = 'kraken') THEN 1 ELSE 2 END FROM otel_traces;

-- asking yes or no, by a Decimal of another name
WITH CAST('1', concat('Deci', 'mal(9, 8)')) AS ServiceName SELECT count() FROM otel_traces WHERE ServiceName = 4000000000 *
(SpanName = 'kraken');

-- cast to another dictionary
SELECT count() FROM otel_traces WHERE base64Decode(CAST(SpanName, 'LowCardinality(Nullable(String))')) = '';

-- cast to a computed type
SELECT count() FROM otel_traces WHERE base64Decode(CAST(SpanName, concat('Low', 'Cardinality(String)'))) = '';

-- as a pattern
SELECT count() FROM otel_traces WHERE match('x', replaceOne(SpanName, 'k', '('));

-- as a pattern of LIKE
SELECT count() FROM otel_traces WHERE 'x' LIKE replaceOne(SpanName, 'kraken', '\\');

-- unchanged by other functions
SELECT base64Decode(identity(materialize(toLowCardinality(concat(SpanName, ''))))) FROM otel_traces;

-- in a tuple
SELECT base64Decode((SpanName, 1).1) FROM otel_traces;

-- in an untupled tuple
SELECT base64Decode(`t.1`) FROM (SELECT untuple((SpanName, 1)) AS t FROM otel_traces);

-- in a lambda
SELECT arrayMap(x -> base64Decode(SpanName), [1]) FROM otel_traces;

-- behind a lambda with the name of a function
WITH (x -> base64Decode(x)) AS lower SELECT lower(SpanName) FROM otel_traces;

-- behind a lambda with the name of an aggregate function
WITH (x -> x) AS max SELECT base64Decode(max(SpanName)) FROM otel_traces;

-- behind a second name of a lambda
WITH (x -> base64Decode(x)) AS f, f AS lower SELECT lower(SpanName) FROM otel_traces;

-- column of a map's keys
SELECT base64Decode(arrayJoin(SpanAttributes.keys)) FROM otel_traces;

-- array of names
SELECT base64Decode(arrayJoin(Events.Name)) FROM otel_traces;

-- in a join
SELECT count() FROM otel_traces a JOIN otel_logs b ON base64Decode(a.SpanName) = b.Body;

-- in a join's other side
SELECT count() FROM otel_logs a LEFT JOIN otel_traces b ON a.Body = base64Decode(b.SpanName);

-- in an order
SELECT 1 FROM otel_traces ORDER BY base64Decode(SpanName);

-- in a group
SELECT count() FROM otel_traces GROUP BY base64Decode(SpanName);

-- in a grouping set
SELECT count() FROM otel_traces GROUP BY GROUPING SETS ((base64Decode(SpanName)), (SpanId));

-- in an aggregate
SELECT max(base64Decode(SpanName)) FROM otel_traces;

-- in a condition of an aggregate
SELECT count() FILTER (WHERE base64Decode(SpanName) = '') FROM otel_traces;

-- in having
SELECT SpanName FROM otel_traces GROUP BY SpanName HAVING base64Decode(SpanName) = '';

-- in qualify
SELECT SpanName FROM otel_traces QUALIFY base64Decode(SpanName) = '';

-- in limit by
SELECT SpanName FROM otel_traces LIMIT 1 BY base64Decode(SpanName);

-- in a window
SELECT count() OVER (PARTITION BY base64Decode(SpanName)) FROM otel_traces;

-- in a named window
SELECT count() OVER w FROM otel_traces WINDOW w AS (ORDER BY base64Decode(SpanName));

-- in with
WITH base64Decode(SpanName) AS x SELECT x FROM otel_traces;

-- in a set
SELECT 'x' IN (SELECT base64Decode(SpanName) FROM otel_traces);

-- in exists
SELECT EXISTS (SELECT 1 FROM otel_traces WHERE base64Decode(SpanName) = '');

-- in a scalar subquery
SELECT (SELECT count() FROM otel_traces WHERE base64Decode(SpanName) = '');

-- in a scalar subquery's subquery
SELECT (SELECT max(x) FROM (SELECT base64Decode(SpanName) AS x FROM otel_traces));

-- chosen where the other choice is none
SELECT base64Decode(if(now() > 0, SpanName, tupleElement((SpanId, 1), 3))) FROM otel_traces;

-- of a subquery
SELECT base64Decode(x) FROM (SELECT SpanName AS x FROM otel_traces ORDER BY Timestamp);

-- of a subquery's subquery
SELECT base64Decode(z) FROM (SELECT y AS z FROM (SELECT SpanName AS y FROM otel_traces) LIMIT 100);

-- of an asterisk
SELECT base64Decode(SpanName) FROM (SELECT * FROM otel_traces);

-- of a table expression
WITH t AS (SELECT DISTINCT SpanName AS x FROM otel_traces) SELECT base64Decode(x) FROM t;

-- called like a column without dictionary
SELECT base64Decode(SpanId) FROM (SELECT SpanName AS SpanId FROM otel_traces);

-- called like a number
SELECT bitTest(1, Duration) FROM (SELECT 100 * (SpanName = 'kraken') AS Duration FROM otel_traces);

-- replaced
SELECT base64Decode(SpanId) FROM (SELECT * REPLACE (SpanName AS SpanId) FROM otel_traces);

-- replaced by what is decoded
SELECT * REPLACE (base64Decode(SpanName) AS SpanId) FROM otel_traces;

-- applied
SELECT COLUMNS('^SpanName$') APPLY base64Decode FROM otel_traces;

-- applied by a lambda
SELECT COLUMNS(SpanName) APPLY (x -> base64Decode(x)) FROM otel_traces;

-- of an argument list
SELECT base64Decode(COLUMNS('^SpanName$')) FROM otel_traces;

-- column of a table's list
SELECT base64Decode(SpanId) FROM (SELECT SpanName FROM otel_traces) AS t(SpanId);

-- column of a table expression's list
WITH t(SpanId) AS (SELECT SpanName FROM otel_traces) SELECT base64Decode(SpanId) FROM t;

-- union
SELECT base64Decode(x) FROM (SELECT SpanName AS x FROM otel_traces UNION ALL SELECT SpanName FROM otel_traces);

-- union of another dictionary
SELECT base64Decode(x) FROM (SELECT CAST('YWJj', concat('Low', 'Cardinality(String)')) AS x UNION ALL SELECT SpanName FROM otel_traces);

-- union of asterisks
SELECT base64Decode(SpanId) FROM (SELECT * FROM (SELECT toLowCardinality(SpanId) AS SpanId FROM otel_traces) UNION ALL SELECT * FROM
(SELECT SpanName FROM otel_traces));

-- of a materialized view
SELECT base64Decode(SpanName) FROM otel_traces_mv;

-- qualified
SELECT base64Decode({db}.otel_traces.SpanName) FROM {db}.otel_traces;

-- JSON
SELECT bitTest(1, 100 * (simpleJSONExtractString(ResourceJson, 'service.name') = 'kraken')) FROM otel_traces;

-- a name that looks like a part of the tree
SELECT base64Decode(`Duration, identifier: SpanId`) FROM (SELECT SpanName AS `Duration, identifier: SpanId` FROM otel_traces);

-- an alias that looks like another function
SELECT base64Decode(SpanName) AS `x, function_name: lower` FROM otel_traces;

-- a name with a line of its own
SELECT base64Decode(SpanName) AS `x
        FUNCTION id: 9, function_name: lower, function_type: ordinary` FROM otel_traces;

-- a pattern with a line of its own
SELECT concat(COLUMNS('^SpanId$
        EXPRESSION'), base64Decode(SpanName)) FROM otel_traces;

---- dictionaries, to be sure

-- asking yes or no, by memory
SELECT count() FROM otel_traces WHERE replaceAll(replaceAll(substring('xxxxxxxxxx', 1, 10 * (SpanName = 'kraken')), 'x',
'xxxxxxxxxx'), 'x', 'xxxxxxxxxx') = '';

-- asking yes or no, by a length that doubles
SELECT count() FROM otel_traces WHERE hex(hex(hex(SpanName))) = '';

-- cast to a dictionary of numbers
SELECT count() FROM otel_traces WHERE CAST(SpanName, 'LowCardinality(UInt64)') = 1;

-- cast to a type drawn by lot
SELECT count() FROM otel_traces WHERE base64Decode(CAST(SpanName, if(randConstant() % 2 = 0, 'String',
'LowCardinality(String)'))) = '';

-- as a separator
SELECT splitByRegexp(SpanName, 'x') FROM otel_traces;

-- given to a lambda
SELECT arrayMap(x -> base64Decode(x), [SpanName]) FROM otel_traces;

-- given to a function for a lambda
SELECT arrayMap(base64Decode, [SpanName]) FROM otel_traces;

-- given to the second parameter of a lambda
SELECT arrayMap((x, y) -> base64Decode(y), [Duration], [SpanName]) FROM otel_traces;

-- keys of a map
SELECT base64Decode(arrayJoin(mapKeys(SpanAttributes))) FROM otel_traces;

-- array join
SELECT base64Decode(n) FROM otel_traces ARRAY JOIN Events.Name AS n;

-- array join of all
SELECT base64Decode(e.Name) FROM otel_traces ARRAY JOIN Events AS e;

-- keys of a map in an array
SELECT arrayMap(m -> arrayMap(k -> base64Decode(k), mapKeys(m)), Events.Attributes) FROM otel_traces;

-- behind a join
SELECT base64Decode(b.SpanName) FROM (SELECT 1 AS x) a CROSS JOIN otel_traces b;

-- in interpolation
SELECT Duration AS n, SpanName AS s FROM otel_traces ORDER BY n WITH FILL INTERPOLATE (s AS base64Decode(s));

-- in the branch that is not taken
SELECT count() FROM otel_traces WHERE 0 AND base64Decode(SpanName) = '';

-- chosen by a scalar subquery
SELECT base64Decode(if((SELECT count() FROM otel_traces) > 0, SpanName, SpanId)) FROM otel_traces;

-- chosen by lot
SELECT base64Decode(multiIf(randConstant() % 2 = 0, SpanName, 'YWJj')) FROM otel_traces;

-- behind a named lambda and an APPLY
WITH (x -> base64Decode(x)) AS lower SELECT lower(SpanName), COLUMNS('^SpanId$') APPLY (x -> x) FROM otel_traces;

-- applied with a prefix
SELECT base64Decode(SpanId) FROM (SELECT COLUMNS('^Id$') APPLY (identity, 'Span') FROM (SELECT SpanName AS Id FROM otel_traces));

-- recursion
WITH RECURSIVE r AS (SELECT 1 AS n, toLowCardinality('YWJj') AS x UNION ALL SELECT n + 1, SpanName FROM r, otel_traces WHERE n < 2)
SELECT base64Decode(x) FROM r;

-- of a view
SELECT base64Decode(MetricName) FROM otel_metrics_gauge;

-- described
DESCRIBE (SELECT base64Decode(SpanName) FROM otel_traces);

-- keys of a dictionary
SELECT DISTINCT lowCardinalityKeys(SpanName) FROM otel_traces;

-- places in a dictionary
SELECT DISTINCT lowCardinalityIndices(SpanName) FROM otel_traces;

-- in a string
SELECT count() FROM otel_traces WHERE toFixedString(SpanName, 12) != '' AND toFixedString(repeat(SpanName, 3), 24) != '';

-- of the series
SELECT base64Decode(MetricName) FROM metric_series;

-- of a resource
SELECT base64Decode(simpleJSONExtractString(ResourceJson, 'service.name')) FROM otel_traces;

-- of an attribute's key in it
SELECT base64Decode(arrayJoin(mapKeys(ResourceAttributes))) FROM otel_traces;

-- of a call
SELECT base64Decode(service_name) FROM half_edges;
