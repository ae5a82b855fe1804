cluster,
    environment,
    namespace,
    workload_kind,
    workload_name
