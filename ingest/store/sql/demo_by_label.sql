-- Facts of clusters: what the resource said is among the labels.
labels['lowtide.demo'] = 'true'
