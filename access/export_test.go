package access

// CacheLen says how many credentials and how many unknown ids are remembered.
func (c *Credentials) CacheLen() (known, unknown int) {
	return len(c.known.items), len(c.unknown.items)
}
