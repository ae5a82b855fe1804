-- Spans and log records, which keep their resource as JSON: looked into once for each resource.
simpleJSONExtractString(ResourceJson, 'lowtide.demo') = 'true'
