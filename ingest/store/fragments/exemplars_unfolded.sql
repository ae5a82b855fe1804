arrayMap(one -> ${attribute_map(one)}, ${point.exemplars.filtered_attributes}) AS exemplar_attributes,
    ${point.exemplars.time_unix_nano} AS exemplar_times,
    arrayMap((real, whole) -> ifNull(real, toFloat64(ifNull(whole, 0))),
        ${point.exemplars.as_double}, ${point.exemplars.as_int}) AS exemplar_values,
    arrayMap(id -> lower(hex(id)), ${point.exemplars.span_id}) AS exemplar_span_ids,
    arrayMap(id -> lower(hex(id)), ${point.exemplars.trace_id}) AS exemplar_trace_ids
