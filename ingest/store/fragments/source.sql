-- Who made a span: a proxy, a health check of the platform, or the application.
multiIf(
        attribute('telemetry.sdk.name') = 'envoy' OR container IN ('istio-proxy', 'linkerd-proxy'), 'proxy',
        kind = 2 AND (startsWith(attributes['user_agent.original'], 'kube-probe')
            OR startsWith(attributes['http.user_agent'], 'kube-probe')), 'probe',
        'application')
