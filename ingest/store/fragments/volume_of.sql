-- Rows and bytes of the signal $1 by sender and hour, from its resources in $2. What its records are is told by the arrays
-- `times` (ns) and `sizes` (bytes): counted before they are unfolded, since a row of a record costs far more than its length.
SELECT
    tenant,
    '$1' AS signal,
    ${identity_names},
    service_namespace,
    service_name,
    toDateTime(
        tupleElement(
            arrayJoin(arrayZip(
                tupleElement(
                    sumMap(
                        arrayMap(ns -> intDiv(${seconds(ns)}, 3600), times),
                        arrayMap(ns -> 1::UInt64, times),
                        sizes) AS volume,
                    1),
                tupleElement(volume, 2),
                tupleElement(volume, 3))) AS entry,
            1) * 3600,
        'UTC') AS hour,
    tupleElement(entry, 2) AS rows,
    tupleElement(entry, 3) AS bytes
FROM $2
GROUP BY
    tenant,
    ${identity_names},
    service_namespace,
    service_name
