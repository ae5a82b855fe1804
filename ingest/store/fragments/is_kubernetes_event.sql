-- Whether a log record is an event of Kubernetes, as the Collector's k8s_events receiver writes it.
mapContains(attributes, 'k8s.event.reason')
