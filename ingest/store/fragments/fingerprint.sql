-- One number for one series: its metric, how that is measured, and its attributes. Their order counts.
cityHash64(metric_hash, kind, temporality, is_monotonic, attributes)
