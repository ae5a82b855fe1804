-- How long pods took to start, one row each, by kube-state-metrics (created, ready) and by events (all between).
CREATE VIEW IF NOT EXISTS pod_starts AS
${pod_starts(kubernetes_pods, pod_start_events)}
