_batch, tenant, received_ns, resource_json, resource_schema_url,
    cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, revision, node, pod, container
