package proxy_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cofre/seal"
)

// spoken makes a falsehood of a change to answers about the object, the n-th of one read.
func spoken(name string, change func(sh *shape, r *wire, a *answer) *answer) falsehood {
	return falsehood{name: name, lie: func(sh *shape) *lie {
		return &lie{about: readsOf(sh.bucket, sh.key), tell: func(r *wire) *answer { return change(sh, r, sh.now.answer(r)) }}
	}}
}

// wireFalsehoods are lies of the answers, while the object itself lies there as it should.
func wireFalsehoods() []falsehood {
	return slices.Concat(otherRanges(), brokenAnswers(), otherStatuses(), changingAnswers())
}

// otherRanges answer bytes that were not asked for, or lie about which they are.
func otherRanges() []falsehood {
	shifted := func(by int) func(*shape, *wire, *answer) *answer {
		return func(sh *shape, _ *wire, a *answer) *answer {
			var from, to, total int
			if _, err := fmt.Sscanf(a.header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &total); err != nil {
				return a
			}
			n := to - from + 1
			from = max(0, min(from+by, total-n))
			a.body = sh.now.body[from : from+n]
			return a
		}
	}
	head := func(name, value string) func(*shape, *wire, *answer) *answer {
		return func(_ *shape, _ *wire, a *answer) *answer {
			a.header.Set(name, value)
			return a
		}
	}
	total := func(change func(from, to, total int) string) func(*shape, *wire, *answer) *answer {
		return func(_ *shape, _ *wire, a *answer) *answer {
			var from, to, all int
			if _, err := fmt.Sscanf(a.header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &all); err == nil {
				a.header.Set("Content-Range", change(from, to, all))
			}
			return a
		}
	}
	return []falsehood{
		spoken("a range one byte on", shifted(1)), spoken("a range one byte before", shifted(-1)),
		spoken("a range one chunk on", shifted(seal.ChunkSize+seal.TagSize)), spoken("a range one chunk before", shifted(-seal.ChunkSize-seal.TagSize)),
		spoken("the first bytes for every range", shifted(-1<<40)), spoken("the last bytes for every range", shifted(1<<40)),
		spoken("all of it for a range", func(sh *shape, _ *wire, a *answer) *answer {
			return &answer{status: http.StatusOK, header: sh.now.header.Clone(), body: sh.now.body}
		}),
		spoken("all of it as a range", func(sh *shape, _ *wire, a *answer) *answer {
			a.body = sh.now.body
			return a
		}),
		spoken("a range as all of it", func(_ *shape, _ *wire, a *answer) *answer {
			a.status = http.StatusOK
			a.header.Del("Content-Range")
			return a
		}),
		spoken("partial for all of it", func(sh *shape, _ *wire, a *answer) *answer {
			if a.status == http.StatusOK {
				a.status = http.StatusPartialContent
				a.header.Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(sh.now.body)-1, len(sh.now.body)))
			}
			return a
		}),
		spoken("another total", total(func(from, to, all int) string { return fmt.Sprintf("bytes %d-%d/%d", from, to, all+1) })),
		spoken("a small total", total(func(from, to, _ int) string { return fmt.Sprintf("bytes %d-%d/144", from, to) })),
		spoken("a total that overflows", total(func(from, to, _ int) string { return fmt.Sprintf("bytes %d-%d/99999999999999999999", from, to) })),
		spoken("a total below zero", total(func(from, to, _ int) string { return fmt.Sprintf("bytes %d-%d/-1", from, to) })),
		spoken("an unknown total", total(func(from, to, _ int) string { return fmt.Sprintf("bytes %d-%d/*", from, to) })),
		spoken("another place", total(func(from, to, all int) string { return fmt.Sprintf("bytes %d-%d/%d", from+16, to+16, all) })),
		spoken("no place", head("Content-Range", "")), spoken("nonsense for a place", head("Content-Range", "pages 1-2")),
		spoken("packed, it says", head("Content-Encoding", "gzip")),
	}
}

// brokenAnswers end in the middle, or lie about their length.
func brokenAnswers() []falsehood {
	part := func(name string, of func(n int) int, cut, keepLength bool) falsehood {
		return spoken(name, func(_ *shape, r *wire, a *answer) *answer {
			n := of(len(a.body))
			if keepLength && r.Method != http.MethodHead {
				a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
			}
			if r.Method == http.MethodHead {
				a.header.Set("Content-Length", strconv.Itoa(n))
			}
			a.body, a.cut = a.body[:n], cut
			return a
		})
	}
	all := func(n int) int { return n }
	half := func(n int) int { return n / 2 }
	oneLess := func(n int) int { return max(n-1, 0) }
	edge := func(n int) int { return min(n, seal.HeaderSize+seal.ChunkSize+seal.TagSize) }
	return []falsehood{
		part("broken off in the middle", half, true, true), part("broken off before the last byte", oneLess, true, true),
		part("broken off at a chunk's edge", edge, true, true), part("broken off behind the last byte", all, true, false),
		part("half of it, and a length to match", half, false, false), part("one byte less, and a length to match", oneLess, false, false),
		part("a chunk, and a length to match", edge, false, false),
		spoken("no length", func(_ *shape, _ *wire, a *answer) *answer { a.chunked = true; return a }),
		spoken("no length, and half of it", func(_ *shape, _ *wire, a *answer) *answer {
			a.chunked, a.body = true, a.body[:len(a.body)/2]
			return a
		}),
		spoken("no length, and more of it", func(_ *shape, _ *wire, a *answer) *answer {
			a.chunked, a.body = true, slices.Concat(a.body, a.body)
			return a
		}),
		spoken("nothing at all", func(_ *shape, _ *wire, a *answer) *answer { return &answer{status: http.StatusOK, header: a.header} }),
		spoken("nothing but a length", func(_ *shape, _ *wire, a *answer) *answer {
			a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
			a.body, a.cut = nil, true
			return a
		}),
		spoken("noise", func(_ *shape, _ *wire, a *answer) *answer { a.body = randomBytes(len(a.body)); return a }),
	}
}

// otherStatuses say what is not so.
func otherStatuses() []falsehood {
	say := func(status int, code string) falsehood {
		return spoken(strings.TrimSpace(fmt.Sprintf("says %d %s", status, code)), func(_ *shape, r *wire, a *answer) *answer {
			out := failed(status, code)
			out.header.Set("Location", "http://"+r.Host+"/elsewhere")
			return out
		})
	}
	// The object's own headers under another status.
	with := func(status int) falsehood {
		return spoken(fmt.Sprintf("says %d with the object's headers", status), func(_ *shape, _ *wire, a *answer) *answer {
			a.status = status
			if status == http.StatusNotModified || status == http.StatusNoContent {
				a.body = nil
			}
			return a
		})
	}
	return []falsehood{
		say(200, "InternalError"), say(200, "NoSuchKey"), say(201, ""), say(204, ""), say(206, ""), say(301, "PermanentRedirect"), say(302, "NotModified"), say(304, ""),
		say(307, "TemporaryRedirect"), say(307, "Elsewhere"), say(400, ""), say(403, "AccessDenied"), say(403, "SignatureDoesNotMatch"), say(404, "NoSuchKey"), say(404, "NoSuchBucket"),
		say(404, "NoSuchVersion"), say(404, ""), say(404, "NotModified"), say(405, "MethodNotAllowed"), say(409, "OperationAborted"), say(412, "PreconditionFailed"), say(416, "InvalidRange"),
		say(418, "Teapot"), say(500, "InternalError"), say(501, "NotImplemented"), say(503, "SlowDown"),
		with(201), with(203), with(204), with(206), with(300), with(302), with(304), with(404), with(412), with(416),
	}
}

// changingAnswers tell one thing first and another thing then: between two requests of one read, the object is another.
func changingAnswers() (all []falsehood) {
	faces := map[string]func(sh *shape) *stored{
		"another key's":           func(sh *shape) *stored { return sh.twin },
		"the one before":          func(sh *shape) *stored { return renamed(sh.old, sh.now) },
		"the body of another key": func(sh *shape) *stored { return &stored{sh.now.header, sh.twin.body} },
		"one with another ETag": func(sh *shape) *stored {
			s := sh.now.clone()
			s.header.Set("Etag", `"00000000000000000000000000000002"`)
			return s
		},
		"one without envelope": func(sh *shape) *stored {
			s := sh.now.clone()
			s.header.Del("X-Amz-Meta-Cofre-Envelope")
			return s
		},
		"one without the last chunk": func(sh *shape) *stored {
			return &stored{sh.now.header, sh.now.body[:max(0, len(sh.now.body)-seal.FooterSize-seal.TagSize-1)]}
		},
	}
	turns := map[string]func(n int) bool{
		"first": func(n int) bool { return n == 0 }, "second": func(n int) bool { return n == 1 }, "third": func(n int) bool { return n == 2 },
		"from the second on": func(n int) bool { return n > 0 }, "every other": func(n int) bool { return n%2 == 1 },
	}
	for face, of := range faces {
		for turn, lies := range turns {
			all = append(all, falsehood{name: turn + " answer is " + face, replays: face == "the one before", lie: func(sh *shape) *lie {
				other := of(sh)
				return &lie{about: readsOf(sh.bucket, sh.key), tell: func(r *wire) *answer {
					if lies(r.n) {
						return other.answer(r)
					}
					return sh.now.answer(r)
				}}
			}})
		}
	}
	// A read that breaks off goes on with another answer: with another object's bytes then, or other ones.
	for face, of := range faces {
		all = append(all, falsehood{name: "broken off, and gone on with " + face, replays: face == "the one before", lie: func(sh *shape) *lie {
			other := of(sh)
			return &lie{about: readsOf(sh.bucket, sh.key), tell: func(r *wire) *answer {
				a := sh.now.answer(r)
				if len(a.body) < seal.ChunkSize || r.Method == http.MethodHead {
					return a
				}
				if r.n > 1 {
					return other.answer(r)
				}
				a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
				a.body, a.cut = a.body[:len(a.body)/2], true
				return a
			}}
		}})
	}
	slices.SortFunc(all, func(a, b falsehood) int { return strings.Compare(a.name, b.name) })
	return all
}
