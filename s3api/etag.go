package s3api

import "strings"

// UnquoteETag gives an entity tag as the rest of the program keeps it: without white space, weakness mark and quotes.
func UnquoteETag(s string) string {
	s = strings.TrimSpace(s)
	s = strings.TrimPrefix(s, "W/")
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return strings.Trim(s, `"`)
}

// matchETag says whether etag (unquoted) is in a list as If-Match and If-None-Match hold it; "*" is in it always. Quoted, bare and weak forms
// are the same, as on AWS: its entity tags are all strong and clients send them in each form.
func matchETag(list, etag string) bool {
	for list != "" {
		var tag string
		tag, list = nextETag(list)
		if tag == "*" || tag != "" && UnquoteETag(tag) == etag {
			return true
		}
	}
	return false
}

// nextETag takes the first entity tag off a list. A comma inside quotes belongs to the tag (RFC 9110 section 8.8.3).
func nextETag(list string) (tag, rest string) {
	quoted := false
	for i := range len(list) {
		switch list[i] {
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				return strings.TrimSpace(list[:i]), list[i+1:]
			}
		}
	}
	return strings.TrimSpace(list), ""
}
