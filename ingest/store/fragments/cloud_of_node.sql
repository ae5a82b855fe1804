-- The cloud a node runs in (values of OpenTelemetry's cloud.provider), from the id that the provider gave it.
transform(
            extract(provider_id, '^([a-z]+)://'),
            ['aws', 'gce', 'azure', 'alicloud', 'qcloud', 'oci', 'openstack', 'hcloud', 'digitalocean'],
            ['aws', 'gcp', 'azure', 'alibaba_cloud', 'tencent_cloud', 'oracle_cloud', 'openstack', 'hetzner', 'digitalocean'],
            '')
