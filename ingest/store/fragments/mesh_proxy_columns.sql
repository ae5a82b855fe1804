-- Where the proxy is that tells an edge, as far as it or who scraped it says so: of two that scrape one, the one that says more.
proxy_cluster SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    proxy_namespace SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    proxy_pod SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    proxy_node SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    proxy_zone SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    proxy_address SimpleAggregateFunction(max, String) CODEC(ZSTD(1))
