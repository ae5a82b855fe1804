-- 1/p from the threshold `th` of OpenTelemetry's probability sampling: p = 1 - th / 2^56 (tracestate-probability-sampling).
toDecimal64(round(least(1e6, if($1 = '', 1, 72057594037927936 / (72057594037927936 - reinterpretAsUInt64(reverse(unhex(
        rightPad(extract($1, '(?:^|,)\\s*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})'), 14, '0'))))))), 6), 6)
