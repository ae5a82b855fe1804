-- The labels of kube-state-metrics that say something of an object, and not which object it is or who scraped it; and that it is the demo's.
'lowtide.demo', 'node', 'owner_kind', 'owner_name', 'phase', 'unit', 'host_network', 'priority_class', 'pod_ip', 'internal_ip',
    'provider_id', 'kubelet_version', 'os_image', 'container_runtime_version', 'storageclass', 'volumename', 'volumemode',
    'csi_driver', 'csi_volume_handle', 'claim_namespace', 'name', 'provisioner', 'reclaim_policy', 'type', 'ip', 'hostname',
    'cluster_ip', 'external_name', 'load_balancer_ip', 'scaletargetref_kind', 'scaletargetref_name'
