-- Spans, log records and series, which keep their resource as JSON: looked into once for each resource.
simpleJSONExtractString(ResourceJson, 'lowtide.demo') = 'true'
