-- Kinds of spans by their number in OTLP, from 0.
['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer']
