-- One number for one series: who sends it, from which scope, and what it measures. Order of attributes counts.
cityHash64(tenant, resource, resource_schema_url, scope_name, scope_version, scope_attributes, scope_schema_url, name,
        description, unit, kind, temporality, is_monotonic, attributes)
