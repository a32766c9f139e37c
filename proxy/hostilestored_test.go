package proxy_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"

	"cofre/seal"
)

// falsehood is one thing that the storage says which is not so. It gives the lie for a shape, nil where the shape has nothing to
// lie about.
type falsehood struct {
	name string
	lie  func(sh *shape) *lie
	// replays says that what is shown was once true: a site that has lost what it knew must take it for the truth.
	replays bool
}

// altered makes a falsehood of a change to the object as it lies there. The change says whether it is one for that shape.
func altered(name string, change func(sh *shape, s *stored) bool) falsehood {
	return falsehood{name: name, lie: func(sh *shape) *lie {
		s := sh.now.clone()
		if !change(sh, s) {
			return nil
		}
		return shows(sh.bucket, sh.key, s)
	}}
}

// storedFalsehoods are all that can be done to a stored object: to its bytes, to its metadata, to all of it.
func storedFalsehoods() []falsehood {
	return slices.Concat(flippedBytes(), cutBodies(), movedParts(), exchangedBodies(), exchangedMetadata(), flippedEnvelopes(), exchangedObjects())
}

// sealedPlace is a place in a part, by its plaintext size; below zero where such a part has none.
type sealedPlace struct {
	name string
	at   func(size int) int
}

var sealedPlaces = []sealedPlace{
	{"magic", func(int) int { return 0 }}, {"version", func(int) int { return 5 }}, {"suite", func(int) int { return 6 }},
	{"reserved byte", func(int) int { return 7 }}, {"length", func(int) int { return 15 }}, {"salt", func(int) int { return 20 }},
	{"commitment", func(int) int { return 40 }},
	{"first chunk", func(n int) int { return inChunk(n, 0, 0) }},
	{"tag of the first chunk", func(n int) int { return inChunk(n, 0, -1) }},
	{"middle chunk", func(n int) int { return inChunk(n, (n-1)/seal.ChunkSize/2, 7) }},
	{"last chunk", func(n int) int { return inChunk(n, (n-1)/seal.ChunkSize, 0) }},
	{"tag of the last chunk", func(n int) int { return inChunk(n, (n-1)/seal.ChunkSize, -1) }},
	{"footer", func(n int) int { return int(seal.StoredSize(int64(n))) - seal.FooterSize }},
	{"tag of the footer", func(n int) int { return int(seal.StoredSize(int64(n))) - 1 }},
}

// inChunk gives a place in chunk i of a part of n plaintext bytes: counted from the chunk's first byte, or, below zero, from behind.
func inChunk(n, i, at int) int {
	if n == 0 {
		return -1
	}
	begin := seal.HeaderSize + i*(seal.ChunkSize+seal.TagSize)
	if at >= 0 {
		return begin + min(at, n-1)
	}
	return begin + min(seal.ChunkSize, n-i*seal.ChunkSize) + seal.TagSize + at
}

func flippedBytes() (all []falsehood) {
	for _, part := range []int{0, 1} {
		for _, place := range sealedPlaces {
			name := place.name + " flipped"
			if part > 0 {
				name += " in the second part"
			}
			all = append(all, altered(name, func(sh *shape, s *stored) bool {
				begins, sizes := sh.partSpans()
				if part >= len(sizes) {
					return false
				}
				at := place.at(sizes[part])
				if at < 0 {
					return false
				}
				s.body[begins[part]+at] ^= 0x10
				return true
			}))
		}
	}
	return all
}

// cutBodies end early, or late.
func cutBodies() (all []falsehood) {
	cuts := map[string]func(n int) int{
		"nothing left": func(int) int { return 0 }, "half a footer left": func(int) int { return seal.FooterSize / 2 },
		"header alone": func(int) int { return seal.HeaderSize }, "header and footer's room": func(int) int { return seal.HeaderSize + seal.FooterSize },
		"cut behind the first chunk": func(n int) int { return min(n, seal.HeaderSize+seal.ChunkSize+seal.TagSize) },
		"cut in the first chunk":     func(n int) int { return min(n, seal.HeaderSize+1000) },
		"without footer":             func(n int) int { return n - seal.FooterSize },
		"without the last chunk":     func(n int) int { return n - seal.FooterSize - 1 - seal.TagSize },
		"one byte short":             func(n int) int { return n - 1 },
	}
	for name, cut := range cuts {
		all = append(all, altered(name, func(sh *shape, s *stored) bool {
			n := cut(len(s.body))
			short := n < len(s.body)
			s.body = s.body[:n]
			return short
		}))
	}
	slices.SortFunc(all, func(a, b falsehood) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	for name, more := range map[string]func(s *stored) []byte{
		"one byte more": func(*stored) []byte { return []byte{0} }, "footer twice": func(s *stored) []byte { return s.body[len(s.body)-seal.FooterSize:] },
		"all of it twice": func(s *stored) []byte { return s.body },
	} {
		all = append(all, altered(name, func(_ *shape, s *stored) bool {
			s.body = append(s.body, bytes.Clone(more(s))...)
			return true
		}))
	}
	return all
}

// movedParts reorder, drop and repeat chunks and parts.
func movedParts() []falsehood {
	const chunk = seal.ChunkSize + seal.TagSize
	chunkAt := func(s *stored, i int) []byte {
		return s.body[seal.HeaderSize+i*chunk : seal.HeaderSize+(i+1)*chunk]
	}
	enough := func(sh *shape) bool { _, sizes := sh.partSpans(); return sizes[0] >= 2*seal.ChunkSize }
	split := func(sh *shape, s *stored) (one, two []byte) {
		begins, _ := sh.partSpans()
		return s.body[:begins[1]], s.body[begins[1]:]
	}
	join := func(name string, join func(sh *shape, one, two []byte) []byte) falsehood {
		return altered(name, func(sh *shape, s *stored) bool {
			if sh.parts == nil {
				return false
			}
			one, two := split(sh, s)
			s.body = join(sh, one, two)
			return true
		})
	}
	return []falsehood{
		altered("two chunks exchanged", func(sh *shape, s *stored) bool {
			if !enough(sh) {
				return false
			}
			one := bytes.Clone(chunkAt(s, 0))
			copy(chunkAt(s, 0), chunkAt(s, 1))
			copy(chunkAt(s, 1), one)
			return true
		}),
		altered("a chunk repeated", func(sh *shape, s *stored) bool {
			if !enough(sh) {
				return false
			}
			copy(chunkAt(s, 1), chunkAt(s, 0))
			return true
		}),
		altered("a chunk dropped", func(sh *shape, s *stored) bool {
			if !enough(sh) {
				return false
			}
			s.body = slices.Delete(s.body, seal.HeaderSize, seal.HeaderSize+chunk)
			return true
		}),
		join("parts exchanged", func(_ *shape, one, two []byte) []byte { return slices.Concat(two, one) }),
		join("first part dropped", func(_ *shape, _, two []byte) []byte { return two }),
		join("last part dropped", func(_ *shape, one, _ []byte) []byte { return one }),
		join("last part repeated", func(_ *shape, one, two []byte) []byte { return slices.Concat(one, two, two) }),
		join("last part in place of the first", func(_ *shape, one, two []byte) []byte {
			return slices.Concat(two, one[len(two):], two)
		}),
		join("an earlier send of a part", func(sh *shape, one, _ []byte) []byte { return slices.Concat(one, sh.resent) }),
		join("part of another object", func(sh *shape, one, _ []byte) []byte {
			return slices.Concat(one, sh.twin.body[len(one):])
		}),
		join("part of the object before", func(sh *shape, one, two []byte) []byte {
			return slices.Concat(sh.old.body[:len(one)], two)
		}),
	}
}

// exchangedBodies keep the metadata.
func exchangedBodies() []falsehood {
	body := func(name string, of func(sh *shape) []byte) falsehood {
		return altered(name, func(sh *shape, s *stored) bool { s.body = bytes.Clone(of(sh)); return true })
	}
	return []falsehood{
		body("body of another key", func(sh *shape) []byte { return sh.twin.body }),
		body("body of the object before", func(sh *shape) []byte { return sh.old.body }),
		body("body from another bucket", func(sh *shape) []byte { return sh.elsewhere.body }),
		body("plaintext under the envelope", func(sh *shape) []byte { return sh.body }),
		body("other plaintext of the stored size", func(sh *shape) []byte { return make([]byte, len(sh.now.body)) }),
		altered("header of another key", func(sh *shape, s *stored) bool {
			copy(s.body[:seal.HeaderSize], sh.twin.body[:seal.HeaderSize])
			return true
		}),
		altered("footer of the object before", func(sh *shape, s *stored) bool {
			copy(s.body[len(s.body)-seal.FooterSize:], sh.old.body[len(sh.old.body)-seal.FooterSize:])
			return true
		}),
	}
}

// exchangedMetadata keep the body.
func exchangedMetadata() []falsehood {
	drop := func(names ...string) func(*shape, *stored) bool {
		return func(_ *shape, s *stored) bool {
			for _, name := range names {
				s.header.Del("X-Amz-Meta-Cofre-" + name)
			}
			return true
		}
	}
	take := func(of func(sh *shape) *stored, names ...string) func(*shape, *stored) bool {
		return func(sh *shape, s *stored) bool {
			for _, name := range names {
				takeMeta(s, of(sh), name)
			}
			return true
		}
	}
	twin := func(sh *shape) *stored { return sh.twin }
	old := func(sh *shape) *stored { return sh.old }
	before := altered("metadata of the object before", take(old, "Envelope", "Attributes"))
	before.replays = true // to who reads no byte it is that object
	elsewhere := func(sh *shape) *stored { return sh.elsewhere }
	return []falsehood{
		altered("envelope dropped", drop("Envelope")), altered("attributes dropped", drop("Attributes")),
		altered("all metadata dropped", drop("Envelope", "Attributes")),
		altered("envelope of another key", take(twin, "Envelope")), altered("attributes of another key", take(twin, "Attributes")),
		altered("metadata of another key", take(twin, "Envelope", "Attributes")),
		altered("envelope of the object before", take(old, "Envelope")), altered("attributes of the object before", take(old, "Attributes")), before,
		altered("envelope from another bucket", take(elsewhere, "Envelope")), altered("metadata from another bucket", take(elsewhere, "Envelope", "Attributes")),
		altered("envelope twice", func(_ *shape, s *stored) bool {
			s.header["X-Amz-Meta-Cofre-Envelope"] = append(s.header["X-Amz-Meta-Cofre-Envelope"], s.header.Get("X-Amz-Meta-Cofre-Envelope"))
			return true
		}),
		altered("attributes twice", func(_ *shape, s *stored) bool {
			s.header["X-Amz-Meta-Cofre-Attributes"] = append(s.header["X-Amz-Meta-Cofre-Attributes"], s.header.Get("X-Amz-Meta-Cofre-Attributes"))
			return true
		}),
		altered("attributes flipped", func(_ *shape, s *stored) bool {
			raw := metaBytes(s, "Attributes")
			raw[len(raw)/2] ^= 1
			setMeta(s, "Attributes", raw)
			return true
		}),
		altered("salt of the attributes flipped", func(_ *shape, s *stored) bool {
			raw := metaBytes(s, "Attributes")
			raw[3] ^= 1
			setMeta(s, "Attributes", raw)
			return true
		}),
		altered("attributes cut", func(_ *shape, s *stored) bool {
			setMeta(s, "Attributes", metaBytes(s, "Attributes")[:64])
			return true
		}),
		altered("metadata in clear besides", func(_ *shape, s *stored) bool {
			s.header.Set("Content-Type", "text/html")
			s.header.Set("X-Amz-Meta-Of", "the storage")
			s.header.Set("Cache-Control", "no-store")
			s.header.Set("Content-Encoding", "gzip")
			return true
		}),
		altered("another ETag", func(_ *shape, s *stored) bool {
			s.header.Set("Etag", `"00000000000000000000000000000001"`)
			return true
		}),
		altered("ETag of the object before", func(sh *shape, s *stored) bool { s.header.Set("Etag", sh.old.header.Get("Etag")); return true }),
		altered("no ETag", func(_ *shape, s *stored) bool { s.header.Del("Etag"); return true }),
		altered("an invented version id", func(_ *shape, s *stored) bool {
			s.header.Set("X-Amz-Version-Id", "invented-by-the-storage-0001")
			return true
		}),
		altered("version id of the object before", func(sh *shape, s *stored) bool {
			s.header["X-Amz-Version-Id"] = sh.old.header["X-Amz-Version-Id"]
			return sh.version != ""
		}),
		altered("version id dropped", func(sh *shape, s *stored) bool { s.header.Del("X-Amz-Version-Id"); return sh.version != "" }),
	}
}

// envelopeFields are where the fields of an envelope begin (docs/FORMAT.md section 4).
var envelopeFields = []struct {
	name string
	at   int
}{{"version", 0}, {"suite", 1}, {"flags", 2}, {"reserved byte", 3}, {"object id", 4}, {"KEK id", 20}, {"part salt", 36}, {"wrap salt", 52}, {"wrapped DEK", 84}, {"tag", 131}}

func flippedEnvelopes() (all []falsehood) {
	for _, f := range envelopeFields {
		for _, bit := range []byte{1, 2, 4} {
			if f.name != "flags" && bit > 1 {
				continue
			}
			all = append(all, altered(fmt.Sprintf("%s of the envelope flipped (%d)", f.name, bit), func(_ *shape, s *stored) bool {
				raw := metaBytes(s, "Envelope")
				raw[f.at] ^= bit
				setMeta(s, "Envelope", raw)
				return true
			}))
		}
	}
	return append(all,
		altered("envelope not canonical", func(_ *shape, s *stored) bool {
			s.header.Set("X-Amz-Meta-Cofre-Envelope", base64.URLEncoding.EncodeToString(metaBytes(s, "Envelope"))+"=")
			return true
		}),
		altered("envelope cut", func(_ *shape, s *stored) bool { setMeta(s, "Envelope", metaBytes(s, "Envelope")[:131]); return true }),
		altered("envelope longer", func(_ *shape, s *stored) bool {
			setMeta(s, "Envelope", append(metaBytes(s, "Envelope"), 0))
			return true
		}),
		altered("envelope empty", func(_ *shape, s *stored) bool {
			s.header["X-Amz-Meta-Cofre-Envelope"] = []string{""}
			return true
		}))
}

// renamed is an object under the version id of another.
func renamed(s, as *stored) *stored {
	s = s.clone()
	s.header.Del("X-Amz-Version-Id")
	if id := as.header.Get("X-Amz-Version-Id"); id != "" {
		s.header.Set("X-Amz-Version-Id", id)
	}
	return s
}

// exchangedObjects put all of another object there, metadata and ETag too.
func exchangedObjects() []falsehood {
	whole := func(name string, of func(sh *shape) *stored) falsehood {
		return falsehood{name: name, lie: func(sh *shape) *lie { return shows(sh.bucket, sh.key, of(sh)) }}
	}
	before := whole("the object before", func(sh *shape) *stored { return sh.old })
	before.replays = true
	named := whole("the object before under the version id of now", func(sh *shape) *stored { return renamed(sh.old, sh.now) })
	named.replays = true
	return []falsehood{
		before, named,
		whole("another key's object", func(sh *shape) *stored { return sh.twin }),
		whole("another bucket's object", func(sh *shape) *stored { return sh.elsewhere }),
		whole("plaintext in its place", func(sh *shape) *stored {
			return &stored{http.Header{"Etag": {`"0123456789abcdef0123456789abcdef"`}, "Last-Modified": sh.now.header["Last-Modified"]}, sh.body}
		}),
		whole("an empty object in its place", func(sh *shape) *stored {
			return &stored{http.Header{"Etag": {`"d41d8cd98f00b204e9800998ecf8427e"`}, "Last-Modified": sh.now.header["Last-Modified"]}, nil}
		}),
	}
}
