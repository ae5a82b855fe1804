-- What the groups of access_log_line are called: the keys of Istio's JSON access log.
['start_time', 'method', 'response_code', 'response_flags', 'bytes_received', 'bytes_sent', 'duration',
    'upstream_service_time', 'user_agent', 'authority', 'upstream_host', 'upstream_cluster', 'downstream_local_address',
    'downstream_remote_address', 'requested_server_name', 'grpc_status']
