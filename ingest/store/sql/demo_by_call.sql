-- Half-edges of services that others share with the demo: by their trace. Run before the spans go.
(tenant, trace_id) IN (SELECT tenant, TraceId FROM otel_traces WHERE ResourceAttributes['lowtide.demo'] = 'true')
