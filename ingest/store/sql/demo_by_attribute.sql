-- Tables that keep resource attributes. Everything the demo sends is marked.
ResourceAttributes['lowtide.demo'] = 'true'
