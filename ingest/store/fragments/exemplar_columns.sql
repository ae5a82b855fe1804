exemplar_attributes AS `Exemplars.FilteredAttributes`,
    arrayMap(moment -> ${time(moment)}, exemplar_times) AS `Exemplars.TimeUnix`,
    exemplar_values AS `Exemplars.Value`,
    exemplar_span_ids AS `Exemplars.SpanId`,
    exemplar_trace_ids AS `Exemplars.TraceId`
