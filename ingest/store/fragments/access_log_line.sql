-- Envoy's access log as text: its own default format, and Istio's, which has more after the flags and at the end; either with
-- the status of gRPC as one field more. A path has no spaces; what a client may put
-- quotes into (the addresses it came by, its name) is whatever is left between the others.
'^\\[([^\\]]*)\\] "(\\S+) \\S* \\S+" (\\d{1,3}) (\\S+)(?: .*? \\S+ "[^"]*")? (\\d{1,15}) (\\d{1,15}) (\\d{1,12}|-) (\\d{1,12}|-) ".*?" "(.*)" "[^"]*" "([^"]*)" "([^"]*)"(?: (\\S+) \\S+ (\\S+) (\\S+) (\\S+) \\S+)?(?: (-|\\d{1,2}|[A-Z][A-Za-z_]{1,30}))?\\s*$'
