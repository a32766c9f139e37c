package access

import "strings"

// Patterns know two wildcards: '*' is any run of bytes, also an empty one and also one with slashes in it; '?' is any one
// byte. There is no escape: where a name itself holds a '*' or a '?', a '?' in its place matches it.

// isGlob says whether a pattern holds a wildcard.
func isGlob(pattern string) bool { return strings.ContainsAny(pattern, "*?") }

// MatchName says whether a pattern covers the whole name. It takes at most len(pattern) x len(name) steps.
func MatchName(pattern, name string) bool {
	p, n := 0, 0
	star, resume := -1, 0 // the last '*' seen, and where in name its run ends for now
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0: // let the last '*' take one byte more
			resume++
			p, n = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchKey says whether a prefix pattern covers a key: a pattern without wildcards covers every key that begins with it,
// a pattern with wildcards covers the keys that match it as a whole.
func matchKey(pattern, key string) bool {
	if isGlob(pattern) {
		return MatchName(pattern, key)
	}
	return strings.HasPrefix(key, pattern)
}

// coversPrefix says whether a prefix pattern covers every key that begins with prefix.
//
// With wildcards: the key that is the prefix itself must match, and so must any longer one. Whatever may follow, it is
// taken only by a '*' behind the pattern's last ordinary byte; and where there is one, a match stays a match however
// long the key grows, because the '?' around that '*' only say how many bytes there must be at least.
func coversPrefix(pattern, prefix string) bool {
	if !isGlob(pattern) {
		return strings.HasPrefix(prefix, pattern)
	}
	tail := pattern[len(strings.TrimRight(pattern, "*?")):]
	return strings.Contains(tail, "*") && MatchName(pattern, prefix)
}
