package shares

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

const (
	// prefix begins the text of a share, and says how the rest is read.
	prefix = "cofre-share-v1"
	// numberPrefix began it before: people took its 1 for the number of the share.
	numberPrefix = "cofre-share-1"
	checksumSize = 4
	bodySize     = 2 + siteSize + splitSize + valueSize
	letters      = (bodySize + checksumSize) / 5 * 8 // 80: no letter is left over
	groupSize    = 5
	groupsInLine = 4

	// MaxText bounds what is read as a share, in bytes: the text and what people write around it.
	MaxText = 4 << 10
)

// alphabet is Crockford's base 32: without i, l, o and u, so that what looks alike on paper is alike.
var alphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// Text is the share to print or write down:
//
//	cofre-share-v1 and 80 letters in groups of five, which are, in Crockford's base 32,
//	threshold (1) || index (1) || site id (its first 8 bytes) || split (4) || value (32) || checksum (4)
//	checksum := SHA-256("cofre v1 share" || all before it)[0:4]
//
// Lines that begin with # are for people.
func (s Share) Text() string {
	body := append([]byte{s.threshold, s.index}, s.site[:]...)
	body = append(body, s.split[:]...)
	body = append(body, s.value[:]...)
	defer clear(body)
	text := alphabet.EncodeToString(append(body, checksum(body)...))
	var b strings.Builder
	b.WriteString(prefix)
	for i := 0; i < len(text); i += groupSize {
		if i/groupSize%groupsInLine == 0 {
			b.WriteByte('\n')
		} else {
			b.WriteByte(' ')
		}
		b.WriteString(text[i : i+groupSize])
	}
	b.WriteByte('\n')
	return b.String()
}

func checksum(body []byte) []byte {
	h := sha256.New()
	h.Write([]byte("cofre v1 share"))
	h.Write(body)
	return h.Sum(nil)[:checksumSize]
}

// Parse reads a share as Text wrote it, or as somebody typed it from paper: spaces, dashes between groups and line breaks mean
// nothing, capitals are small letters, and O, I and L are the digits that they look like.
func Parse(text []byte) (Share, error) {
	if len(text) > MaxText {
		return Share{}, ErrDamaged
	}
	var written strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			written.WriteString(line)
		}
	}
	words := strings.ToLower(strings.TrimSpace(written.String()))
	rest, ok := strings.CutPrefix(words, prefix)
	if !ok {
		rest, ok = strings.CutPrefix(words, numberPrefix)
	}
	if !ok {
		return Share{}, fmt.Errorf("no share of a cofre recovery identity: it begins with %q", prefix)
	}
	compact := strings.Map(asPrinted, rest)
	if len(compact) != letters {
		return Share{}, ErrDamaged
	}
	raw, err := alphabet.DecodeString(compact)
	if err != nil {
		return Share{}, ErrDamaged
	}
	return parseBody(raw)
}

// asPrinted gives the letter that was meant, or drops what only parts groups.
func asPrinted(r rune) rune {
	switch r {
	case ' ', '\t', '\r', '\n', '-':
		return -1
	case 'o':
		return '0'
	case 'i', 'l':
		return '1'
	}
	return r
}

func parseBody(raw []byte) (Share, error) {
	body := raw[:bodySize]
	if !bytes.Equal(raw[bodySize:], checksum(body)) { // against slips of the pen alone: whoever forges a share opens nothing with it
		return Share{}, ErrDamaged
	}
	s := Share{threshold: body[0], index: body[1], value: new([valueSize]byte)}
	body = body[2:]
	body = body[copy(s.site[:], body):]
	body = body[copy(s.split[:], body):]
	copy(s.value[:], body)
	if s.threshold < MinThreshold || s.index == 0 {
		return Share{}, ErrDamaged
	}
	if _, err := parseScalar(s.value); err != nil {
		return Share{}, err
	}
	return s, nil
}
