-- Whether a row of metric_samples ($1) is a sample. Remote write has rows that only carry exemplars or say what a metric is: their
-- flags have the bit NO_SAMPLE of collector/remote_write/points.py.
bitAnd($1.Flags, 2147483648) = 0
