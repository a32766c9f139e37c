package export

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"cofre/proxy"
	"cofre/s3api"
)

// text is a string of any bytes in JSON: as it is where that is UTF-8, else {"base64": "..."}.
type text string

// MarshalJSON implements json.Marshaler.
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(map[string][]byte{"base64": []byte(t)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(doc []byte) error {
	var s string
	if json.Unmarshal(doc, &s) == nil {
		*t = text(s)
		return nil
	}
	var b struct {
		Base64 []byte `json:"base64"`
	}
	if err := json.Unmarshal(doc, &b); err != nil {
		return err
	}
	*t = text(b.Base64)
	return nil
}

// line is one object in the manifest: all that a file cannot say of it.
type line struct {
	Key          text          `json:"key"`
	Version      string        `json:"version"`
	File         text          `json:"file"` // below objects/
	Size         int64         `json:"size"`
	ETag         string        `json:"etag"`
	Checksum     *lineChecksum `json:"checksum,omitempty"`
	PartSizes    []int64       `json:"part_sizes,omitempty"` // of multipart objects: what their ETag is made of
	LastModified time.Time     `json:"last_modified"`
	Headers      map[text]text `json:"headers,omitempty"`
	Meta         map[text]text `json:"metadata,omitempty"`
	Tags         []lineTag     `json:"tags,omitempty"`
	Unsealed     bool          `json:"unsealed,omitempty"` // it lay on the storage in clear
}

type lineChecksum struct {
	Algorithm string `json:"algorithm"`
	Type      string `json:"type"`
	Value     []byte `json:"value"`
}

type lineTag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func lineOf(at Place, o proxy.Object, tags []s3api.Tag) line {
	l := line{
		Key: text(o.Key), Version: o.VersionID, File: text(at.Name), Size: o.Size, ETag: o.ETag, LastModified: o.LastModified.UTC(),
		Headers: texts(o.Headers), Meta: texts(o.Meta), Unsealed: o.Unsealed,
	}
	if len(o.Checksum.Value) > 0 {
		l.Checksum = &lineChecksum{o.Checksum.Algorithm.String(), string(o.Checksum.Type), o.Checksum.Value}
	}
	for _, p := range o.Parts {
		l.PartSizes = append(l.PartSizes, p.Size)
	}
	for _, t := range tags {
		l.Tags = append(l.Tags, lineTag{t.Key, t.Value})
	}
	return l
}

func texts(m map[string]string) map[text]text {
	out := make(map[text]text, len(m))
	for k, v := range m {
		out[text(k)] = text(v)
	}
	return out
}

// Names in a manifest's directory.
const (
	manifestName = "manifest.jsonl"
	previousName = "manifest.previous.jsonl" // what the runs before the one at work had done
	mergedName   = "manifest.merged.jsonl"
)

// manifestReader reads a manifest line by line. One that does not exist is empty, and a last line that was not written whole is
// none: a run may be killed at any moment.
type manifestReader struct {
	f     *os.File
	lines *bufio.Reader
	next  *line // nil at the end
}

func openManifest(root *os.Root, name string) (*manifestReader, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &manifestReader{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open manifest: %w", err)
	}
	m := &manifestReader{f: f, lines: bufio.NewReaderSize(f, 1<<16)}
	return m, m.advance()
}

// advance reads the next line.
func (m *manifestReader) advance() error {
	m.next = nil
	if m.f == nil {
		return nil
	}
	raw, err := m.lines.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return fmt.Errorf("read manifest %s: %w: move it away to begin anew", m.f.Name(), err)
	}
	m.next = &l
	return nil
}

// upTo gives the line of the key, nil where there is none, passing over those of keys before it.
func (m *manifestReader) upTo(key string) (*line, error) {
	for m.next != nil && string(m.next.Key) < key {
		if err := m.advance(); err != nil {
			return nil, err
		}
	}
	if m.next == nil || string(m.next.Key) != key {
		return nil, nil
	}
	return m.next, nil
}

func (m *manifestReader) close() {
	if m.f != nil {
		m.f.Close()
	}
}

// manifestWriter appends lines.
type manifestWriter struct {
	f   *os.File
	buf *bufio.Writer
}

func createManifest(root *os.Root, name string) (*manifestWriter, error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make manifest: %w", err)
	}
	return &manifestWriter{f, bufio.NewWriterSize(f, 1<<16)}, nil
}

func (w *manifestWriter) add(l line) error {
	doc, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if _, err := w.buf.Write(append(doc, '\n')); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// flush hands what was added to the system, so that killing this process loses nothing of it.
func (w *manifestWriter) flush() error {
	if err := w.buf.Flush(); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// end makes the manifest durable.
func (w *manifestWriter) end() error {
	return errors.Join(w.flush(), w.f.Sync(), w.f.Close())
}

// takePrevious puts together what earlier runs have written, the later one winning, as the manifest of before: both are in order
// of key, so neither is held. Where the later one is complete for a prefix, the older ones' word on such keys is dropped. Killed
// in between, it does the same again.
func takePrevious(root *os.Root, complete string) error {
	if _, err := root.Stat(manifestName); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := root.Stat(previousName); errors.Is(err, fs.ErrNotExist) {
		return root.Rename(manifestName, previousName)
	}
	older, err := openManifest(root, previousName)
	if err != nil {
		return err
	}
	defer older.close()
	newer, err := openManifest(root, manifestName)
	if err != nil {
		return err
	}
	defer newer.close()
	out, err := createManifest(root, mergedName)
	if err != nil {
		return err
	}
	if err := errors.Join(merge(out, older, newer, complete), out.end()); err != nil {
		return err
	}
	if err := root.Rename(mergedName, previousName); err != nil {
		return err
	}
	return root.Remove(manifestName)
}

func merge(out *manifestWriter, older, newer *manifestReader, complete string) error {
	for older.next != nil || newer.next != nil {
		from := newer
		switch {
		case newer.next == nil || older.next != nil && older.next.Key < newer.next.Key:
			from = older
		case older.next != nil && older.next.Key == newer.next.Key:
			if err := older.advance(); err != nil {
				return err
			}
		}
		if from == newer || complete == "" || !strings.HasPrefix(string(from.next.Key), complete) {
			if err := out.add(*from.next); err != nil {
				return err
			}
		}
		if err := from.advance(); err != nil {
			return err
		}
	}
	return nil
}
