-- In the order of the kinds in identity.sql: the first that is known is what a resource is costed as.
[
            attribute('k8s.deployment.name'), attribute('k8s.statefulset.name'), attribute('k8s.daemonset.name'),
            attribute('k8s.cronjob.name'), attribute('k8s.job.name'), attribute('k8s.replicaset.name'),
            attribute('faas.name'), attribute('k8s.pod.name'), attribute('service.name'), attribute('k8s.node.name'),
            attribute('host.name')]
