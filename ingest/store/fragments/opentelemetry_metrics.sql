-- What the Collector's kubeletstats, k8s_cluster and hostmetrics receivers call what we know of usage and capacity. Where one
-- quantity goes by several names, all are read; a sender uses one of them.
'container.cpu.usage', 'container.memory.working_set',
    'k8s.container.cpu.request', 'k8s.container.cpu_request', 'k8s.container.cpu.limit', 'k8s.container.cpu_limit',
    'k8s.container.memory.request', 'k8s.container.memory_request',
    'k8s.container.memory.limit', 'k8s.container.memory_limit',
    'k8s.pod.network.io', 'system.network.io', 'process.cpu.time', 'process.memory.usage',
    'k8s.deployment.desired', 'k8s.deployment.available',
    'k8s.deployment.pod.desired', 'k8s.deployment.pod.available',
    'k8s.statefulset.desired_pods', 'k8s.statefulset.ready_pods',
    'k8s.statefulset.pod.desired', 'k8s.statefulset.pod.ready',
    'k8s.node.cpu.capacity', 'k8s.node.cpu.allocatable', 'k8s.node.allocatable_cpu',
    'k8s.node.memory.capacity', 'k8s.node.memory.allocatable', 'k8s.node.allocatable_memory',
    'k8s.node.cpu.usage', 'k8s.node.memory.working_set',
    'system.cpu.logical.count', 'system.cpu.utilization', 'system.memory.limit', 'system.memory.usage'
