package access

// CacheLen says how many credentials and how many unknown ids are remembered.
func (c *Credentials) CacheLen() (known, unknown int) {
	return len(c.known.items), len(c.unknown.items)
}

// Remembered counts all that Attempts keeps.
func (a *Attempts) Remembered() int {
	return len(a.pairs.items) + len(a.sources.items) + len(a.keys.items) + len(a.proven.items)
}
