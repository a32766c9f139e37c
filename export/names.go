package export

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Names of files. A key becomes a path below one directory, by rules that can be undone:
//
//   - "/" in the key separates folders. A segment without bytes ("a//b", "/a", "a/") is "%".
//   - Bytes that a file name cannot hold, or that mean something to a system or a shell (control characters, % \ : * ? " < > |,
//     a dot or space at the end, and bytes that are no UTF-8), are "%" and two hexadecimal digits. So "." is "%2E" and
//     ".." is ".%2E". Where the directory takes capital and small letters for the same, so are capitals and all bytes
//     beyond ASCII.
//   - A segment of more than 200 bytes is cut: each piece but the last is a folder whose name ends in "%+".
//   - A folder whose name is that of an object's file ("a/b" where there is "a") ends in "%d"; a file whose name is that of a
//     folder which was there before it ends in "%f".
//
// "%" and a letter other than A to F is never a byte's escape, so the four marks cannot be mistaken for one.
const (
	maxName     = 200 // bytes; file systems take 255, and a mark or two is added
	markEmpty   = "%"
	markGoesOn  = "%+"
	markFolder  = "%d"
	markFile    = "%f"
	specialByte = "%\\:*?\"<>|"
)

// errName says that a name is none that escape gives.
var errName = errors.New("not the name of an exported object")

// escape gives the path of a key as names of folders and, last, of a file. folded is for directories that do not tell capital
// from small letters.
func escape(key string, folded bool) []string {
	var names []string
	for segment := range strings.SplitSeq(key, "/") {
		units := escapeUnits(segment, folded)
		piece := ""
		for _, u := range units {
			if len(piece)+len(u) > maxName {
				names = append(names, piece+markGoesOn)
				piece = ""
			}
			piece += u
		}
		if piece == "" {
			piece = markEmpty
		}
		names = append(names, piece)
	}
	return names
}

// escapeUnits gives what stands for each character of a segment: the smallest things that may not be cut.
func escapeUnits(segment string, folded bool) []string {
	var units []string
	for i := 0; i < len(segment); {
		r, size := utf8.DecodeRuneInString(segment[i:])
		text := segment[i : i+size]
		last := i+size == len(segment)
		switch {
		case r == utf8.RuneError && size == 1, r < 0x20 || r == 0x7f, size == 1 && strings.Contains(specialByte, text),
			last && (r == '.' || r == ' '), folded && (r >= 0x80 || r >= 'A' && r <= 'Z'):
			for _, b := range []byte(text) {
				units = append(units, fmt.Sprintf("%%%02X", b))
			}
		default:
			units = append(units, text)
		}
		i += size
	}
	return units
}

// KeyOf gives the key of a file, by its path below objects/ with slashes.
func KeyOf(file string) (string, error) {
	key, err := unescape(strings.Split(file, "/"))
	if err != nil {
		return "", fmt.Errorf("read file name %q: %w", file, err)
	}
	return key, nil
}

func unescape(names []string) (string, error) {
	var key strings.Builder
	for i, name := range names {
		last := i == len(names)-1
		if last {
			name = strings.TrimSuffix(name, markFile)
		} else {
			name = strings.TrimSuffix(name, markFolder)
		}
		name, goesOn := strings.CutSuffix(name, markGoesOn)
		if goesOn && last {
			return "", errName
		}
		if name == markEmpty {
			name = ""
		}
		text, err := unescapeName(name)
		if err != nil {
			return "", err
		}
		key.WriteString(text)
		if !goesOn && !last {
			key.WriteByte('/')
		}
	}
	return key.String(), nil
}

func unescapeName(name string) (string, error) {
	var text strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			text.WriteByte(name[i])
			continue
		}
		if i+2 >= len(name) {
			return "", errName
		}
		b, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
		if err != nil {
			return "", errName
		}
		text.WriteByte(byte(b))
		i += 2
	}
	return text.String(), nil
}

// planner names the files of keys that come in order. It knows the keys that are the beginning of the one at hand: in order of key
// they are all that can be both a file and a folder of another key's path.
type planner struct {
	folded    bool
	beginning []string
}

func (p *planner) plan(key string) []string {
	for len(p.beginning) > 0 && !strings.HasPrefix(key, p.beginning[len(p.beginning)-1]) {
		p.beginning = p.beginning[:len(p.beginning)-1]
	}
	names := escape(key, p.folded)
	for _, file := range p.beginning {
		if file != key && key[len(file)] == '/' {
			names[len(escape(file, p.folded))-1] += markFolder
		}
	}
	p.beginning = append(p.beginning, key)
	return names
}
