-- A span that is work asked of a workload from outside it: SERVER, CONSUMER, or the root of a function's run.
(kind IN (2, 5) OR attributes['faas.trigger'] != '')
