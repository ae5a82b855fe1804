-- What Prometheus' node exporter calls what we know of a machine.
'node_cpu_seconds_total', 'node_memory_MemTotal_bytes', 'node_memory_MemAvailable_bytes', 'node_uname_info', 'node_dmi_info'
