-- Whether $1 is a gRPC status that is a server's fault, by OpenTelemetry's conventions: as a number, or as Envoy writes its name
-- (Unavailable, DeadlineExceeded; or UNAVAILABLE, DEADLINE_EXCEEDED).
lower(replaceAll($1, '_', '')) IN (
                '2', '4', '12', '13', '14', '15',
                'unknown', 'deadlineexceeded', 'unimplemented', 'internal', 'unavailable', 'dataloss')
