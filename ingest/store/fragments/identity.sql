-- Who a resource is, from its attributes `resource` (OTel semantic conventions). The one place that decides it.
resource['k8s.cluster.name'] AS cluster,
    if(resource['deployment.environment.name'] != '',
        resource['deployment.environment.name'], resource['deployment.environment']) AS environment,
    if(resource['k8s.namespace.name'] != '',
        resource['k8s.namespace.name'], resource['service.namespace']) AS namespace,
    ['Deployment', 'StatefulSet', 'DaemonSet', 'CronJob', 'Job', 'ReplicaSet', 'Function', 'Pod', 'Service', 'Node', 'Host'][
        arrayFirstIndex(candidate -> candidate != '', ${workload_names})] AS workload_kind,
    arrayFirst(candidate -> candidate != '', ${workload_names}) AS workload_name,
    resource['service.namespace'] AS service_namespace,
    resource['service.name'] AS service_name,
    resource['service.version'] AS revision,
    if(resource['k8s.node.name'] != '', resource['k8s.node.name'], resource['host.name']) AS node,
    resource['k8s.pod.name'] AS pod,
    if(resource['k8s.container.name'] != '',
        resource['k8s.container.name'], resource['container.name']) AS container
