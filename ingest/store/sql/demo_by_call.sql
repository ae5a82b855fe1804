-- Half-edges: by their trace. Run before the spans go.
(tenant, trace_id) IN (SELECT tenant, TraceId FROM otel_traces WHERE ResourceAttributes['lowtide.demo'] = 'true')
