package admission

// Held is what a gate has given out, and how many wait for it.
func (g *Gate) Held() (lightMemory, bulkMemory, lightRequests, bulkRequests int64, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held[Light].memory, g.held[Bulk].memory, g.held[Light].requests, g.held[Bulk].requests, g.waiting
}

// Parties is how many a gate remembers.
func (g *Gate) Parties() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.parties)
}

// Accounts is how many parties rates remember.
func (r *Rates) Accounts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.accounts)
}
