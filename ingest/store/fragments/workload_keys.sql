-- What a row of workloads is about.
tenant,
    ${identity_names},
    service_namespace,
    service_name,
    container,
    node
