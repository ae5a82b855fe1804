-- What a metric of autoscaling_metrics.sql measures: one word, whatever it is called.
multiIf(
    name IN ('autoscaler_requested_pods', 'kn.revision.pods.requested', 'kn_revision_pods_requested'), 'requested_pods',
    name IN ('revision_queue_depth', 'kn.serving.queue.depth', 'kn_serving_queue_depth'), 'queue_depth',
    name LIKE '%not%ready%', 'not_ready_pods',
    name LIKE '%pending%', 'pending_pods',
    name LIKE '%terminating%', 'terminating_pods',
    name LIKE '%desired%', 'desired_pods',
    name LIKE '%min%replicas' OR name = 'k8s.hpa.pod.min', 'min_pods',
    name LIKE '%max%replicas' OR name = 'k8s.hpa.pod.max', 'max_pods',
    name LIKE '%capacity%', 'excess_burst_capacity',
    name LIKE '%panic_mode' OR name = 'kn.revision.panic.mode', 'panic_mode',
    name LIKE '%activator%' OR name LIKE '%request_concurrency' AND startsWith(name, 'kn_')
        OR name = 'kn.revision.request.concurrency', 'activator_concurrency',
    name LIKE '%concurrency%', concat(extract(name, 'stable|panic|target'), '_concurrency'),
    name LIKE '%rps%' OR name LIKE '%requests_per_second', concat(extract(name, 'stable|panic|target'), '_requests_per_s'),
    name = 'keda_scaler_metrics_value', 'metric_value',
    name = 'keda_scaler_active', 'active',
    name = 'keda_scaled_object_paused', 'paused',
    'pods')
