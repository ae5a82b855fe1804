-- Whether a point of a gauge or sum says anything: not flagged as "no recorded value" (OTLP data point flags), and finite.
(bitAnd(flags, 1) = 0 AND isFinite(value))
