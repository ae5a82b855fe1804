point.Exemplars.FilteredAttributes AS `Exemplars.FilteredAttributes`,
    point.Exemplars.TimeUnix AS `Exemplars.TimeUnix`,
    point.Exemplars.Value AS `Exemplars.Value`,
    point.Exemplars.SpanId AS `Exemplars.SpanId`,
    point.Exemplars.TraceId AS `Exemplars.TraceId`
