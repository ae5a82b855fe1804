-- In the order of the kinds in identity.sql: the first that is known is what a resource is costed as.
[
            resource['k8s.deployment.name'], resource['k8s.statefulset.name'], resource['k8s.daemonset.name'],
            resource['k8s.cronjob.name'], resource['k8s.job.name'], resource['k8s.replicaset.name'],
            resource['faas.name'], resource['k8s.pod.name'], resource['service.name'], resource['k8s.node.name'],
            resource['host.name']]
