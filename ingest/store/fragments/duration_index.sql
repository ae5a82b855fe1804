-- Bucket of OTel's exponential histogram at scale 4 for a duration in ns; durations of at most 1 ns share bucket 0.
if($1 <= 1, 0, toUInt16(ceil(log2($1) * 16)) - 1)::UInt16
