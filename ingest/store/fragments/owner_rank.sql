-- How close to what is deployed the kind of a workload ($1) is: a pod and what makes pods come before what made those.
transform($1, ['', 'Pod', 'Job', 'ReplicaSet'], [0, 1, 2, 2], 3)
