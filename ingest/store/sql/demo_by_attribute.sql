-- Series, which keep resource attributes as a map. Everything the demo sends is marked.
ResourceAttributes['lowtide.demo'] = 'true'
