-- The address in $1 (`10.1.2.3:8080`, `[fd00::1]:8080`, or a name before a slash) if it is one of a private network, else ''. Pods
-- have such; what has not is a client or a service outside, of which there are any number. Without a port, or with 0, Envoy has
-- it from a header and not from the connection.
extract($1, '(?:^|[/\\[])(10(?:[.][0-9]{1,3}){3}|192[.]168(?:[.][0-9]{1,3}){2}|172[.](?:1[6-9]|2[0-9]|3[01])(?:[.][0-9]{1,3}){2}|100[.](?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])(?:[.][0-9]{1,3}){2}|f[cd][0-9a-f]{2}:[0-9a-f:]{1,40})\\]?:[1-9][0-9]*$')
