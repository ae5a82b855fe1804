-- Who a resource is, from its attributes (OTel semantic conventions). The one place that decides it.
-- Who uses it says how an attribute is found: `attribute`, a function of its key.
attribute('k8s.cluster.name') AS cluster,
    if(attribute('deployment.environment.name') != '',
        attribute('deployment.environment.name'), attribute('deployment.environment')) AS environment,
    if(attribute('k8s.namespace.name') != '',
        attribute('k8s.namespace.name'), attribute('service.namespace')) AS namespace,
    ['Deployment', 'StatefulSet', 'DaemonSet', 'CronJob', 'Job', 'ReplicaSet', 'Function', 'Pod', 'Service', 'Node', 'Host'][
        arrayFirstIndex(candidate -> candidate != '', ${workload_names} AS known_names)] AS workload_kind,
    arrayFirst(candidate -> candidate != '', known_names) AS workload_name,
    attribute('service.namespace') AS service_namespace,
    attribute('service.name') AS service_name,
    attribute('service.version') AS revision,
    if(attribute('k8s.node.name') != '', attribute('k8s.node.name'), attribute('host.name')) AS node,
    attribute('k8s.pod.name') AS pod,
    if(attribute('k8s.container.name') != '',
        attribute('k8s.container.name'), attribute('container.name')) AS container
