tenant,
    ${identity_names},
    service_namespace,
    service_name,
    revision,
    source
