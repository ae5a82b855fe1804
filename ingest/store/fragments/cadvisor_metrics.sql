-- What the kubelet and its cAdvisor call what containers, pods and their machine use.
'container_cpu_usage_seconds_total', 'container_memory_working_set_bytes', 'container_start_time_seconds',
    'container_network_receive_bytes_total', 'container_network_transmit_bytes_total',
    'machine_cpu_cores', 'machine_memory_bytes', 'node_cpu_usage_seconds_total', 'node_memory_working_set_bytes'
