package proxy

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cofre/keys"
	"cofre/metadata"
	"cofre/seal"
)

// FindingKind is a stable word for what is wrong: reports are read by programs.
type FindingKind string

// What can be wrong with an object.
const (
	FoundUnsealed      FindingKind = "unsealed"          // it has no envelope
	FoundEnvelope      FindingKind = "envelope"          // its envelope does not open: altered, or of another key or bucket
	FoundAttributes    FindingKind = "attributes"        // its attributes are missing or do not open
	FoundSize          FindingKind = "size"              // its stored size is not that of what was sealed
	FoundHeader        FindingKind = "header"            // a part's header is not the one that was sealed
	FoundChunk         FindingKind = "chunk"             // a chunk does not open
	FoundFooter        FindingKind = "footer"            // a part's footer is missing or does not open
	FoundLayoutMissing FindingKind = "layout-missing"    // a multipart object has no layout
	FoundLayoutAltered FindingKind = "layout-altered"    // its layout does not open
	FoundTombstoned    FindingKind = "tombstoned"        // it was replaced or deleted, and is served again
	FoundDeposit       FindingKind = "deposit"           // a deposit site's object outside its prefixes
	FoundClosedKEK     FindingKind = "closed-kek"        // it is under a closed KEK and has no row
	FoundNotRecipient  FindingKind = "kek-not-recipient" // its KEK is not granted to this site
	FoundUntrusted     FindingKind = "kek-untrusted"     // its KEK's documents are not believed
	FoundKEKMissing    FindingKind = "kek-missing"       // its KEK has no record
	FoundUnreadable    FindingKind = "unreadable"        // the backend or the store refuses it, so it was not looked at
)

// What can be wrong between the store and the backend.
const (
	FoundRowDiffers    FindingKind = "row-differs"
	FoundRowAlone      FindingKind = "row-without-object"
	FoundObjectAlone   FindingKind = "object-without-row"  // info: the next read, or heal, makes it
	FoundUploadUnknown FindingKind = "upload-unknown"      // info: the backend does not know it
	FoundUploadAlone   FindingKind = "upload-without-row"  // info
	FoundOrphanLayout  FindingKind = "layout-of-no-object" // info
)

// FindingKinds is all of them, those about KEKs too, in order.
func FindingKinds() []FindingKind {
	kinds := []FindingKind{
		FoundUnsealed, FoundEnvelope, FoundAttributes, FoundSize, FoundHeader, FoundChunk, FoundFooter, FoundLayoutMissing, FoundLayoutAltered,
		FoundTombstoned, FoundDeposit, FoundClosedKEK, FoundNotRecipient, FoundUntrusted, FoundKEKMissing, FoundUnreadable,
		FoundRowDiffers, FoundRowAlone, FoundObjectAlone, FoundUploadUnknown, FoundUploadAlone, FoundOrphanLayout,
	}
	for _, fault := range []keys.KEKFault{keys.RecordMissing, keys.RecordDiffers, keys.GrantMissing, keys.GrantUntrusted} {
		kinds = append(kinds, FindingKind(fault))
	}
	slices.Sort(kinds)
	return kinds
}

// Finding is one thing that is wrong, or worth knowing.
type Finding struct {
	Kind      FindingKind
	Info      bool // no fault: nothing is lost, and nothing need be done
	Bucket    string
	Key       string // raw bytes; empty where none is meant
	VersionID string
	Detail    string // one sentence for people; holds no secret

	// state is what the thing looked like: a finding stands when the thing looks the same a second time.
	state string
}

// same says whether both are findings, and one.
func (f *Finding) same(other *Finding) bool {
	return f != nil && other != nil && f.Kind == other.Kind && f.state == other.state
}

// fault is what a look has found wrong with an object.
type fault struct {
	kind   FindingKind
	info   bool
	detail string
}

func (f *fault) Error() string { return f.detail }

// finding makes a finding of what went wrong with an object; nil where nothing did, or the object is gone.
func (v *verification) finding(t target, seen metadata.Envelope, err error) *Finding {
	if err == nil || absent(err) {
		return nil
	}
	f := &Finding{Bucket: t.Bucket, Key: t.Key, VersionID: t.VersionID, state: hex.EncodeToString(seen[:])}
	var own *fault
	if errors.As(err, &own) {
		f.Kind, f.Info, f.Detail = own.kind, own.info, own.detail
		return f
	}
	f.Kind = kindOf(err)
	f.Detail = sentences[f.Kind]
	if why := cause(err); why != "" {
		f.Detail += ": " + why
	}
	f.Detail += "."
	if errors.Is(err, errChanged) {
		f.state = v.nonce() // it looks like nothing that it looked like before
	}
	return f
}

// Describe says in plain words what reading an object ended in. What is no integrity finding is told as it is.
func Describe(err error) string {
	kind := kindOf(err)
	if kind == FoundUnreadable || kind == FoundUntrusted || kind == FoundKEKMissing {
		return err.Error()
	}
	text := strings.ToLower(sentences[kind][:1]) + sentences[kind][1:]
	if why := cause(err); why != "" {
		text += ": " + why
	}
	return text
}

// cause is what an error adds to the sentence of its kind: where it is, and what it is if the sentence has not said that.
func cause(err error) string {
	var (
		sealed    *seal.IntegrityError
		integrity *integrityError
	)
	switch {
	case errors.As(err, &sealed):
		var words []string
		if sealed.Part > 0 { // an object of one part has nothing to name
			words = append(words, fmt.Sprintf("part %d", sealed.Part))
		}
		if sealed.Chunk >= 0 {
			words = append(words, fmt.Sprintf("chunk %d", sealed.Chunk))
		}
		if !slices.Contains(toldByKind, sealed.Fault) {
			words = append(words, string(sealed.Fault))
		}
		return strings.Join(words, ", ")
	case errors.Is(err, errClosedKEK), errors.Is(err, keys.ErrNotRecipient):
		return ""
	case errors.As(err, &integrity) && integrity.err != nil:
		return integrity.err.Error()
	case errors.Is(err, errIntegrity):
		return ""
	}
	return detail(err)
}

// toldByKind are faults whose kind says all that there is to say.
var toldByKind = []seal.Fault{seal.FaultEnvelope, seal.FaultAttributes, seal.FaultLayout, seal.FaultChunk, seal.FaultFooter}

// absent says that the backend has no object there, or only a delete marker.
func absent(err error) bool {
	return hasStatus(err, http.StatusNotFound) || hasStatus(err, http.StatusMethodNotAllowed)
}

// sentences begin what people are told; the cause follows.
var sentences = map[FindingKind]string{
	FoundEnvelope:      "The envelope does not open",
	FoundAttributes:    "The sealed attributes do not open",
	FoundSize:          "The stored size is not that of what was sealed",
	FoundHeader:        "A part's header is not the one that was sealed",
	FoundChunk:         "A chunk does not open",
	FoundFooter:        "A footer does not open",
	FoundLayoutMissing: "The layout of this multipart object is not in the system bucket",
	FoundLayoutAltered: "The layout of this multipart object does not open",
	FoundTombstoned:    "The object was replaced or deleted, and the storage serves it again",
	FoundDeposit:       "A deposit site wrote it where it may not",
	FoundClosedKEK:     "The object is under a closed KEK and has no row from before",
	FoundNotRecipient:  "The object's KEK is not granted to this site",
	FoundUntrusted:     "The object's KEK cannot be believed",
	FoundKEKMissing:    "The object's KEK has no record in the system bucket",
	FoundRowDiffers:    "The row is not that of the object",
	FoundUnreadable:    "It could not be looked at",
}

// integrityKinds are the kinds of the findings that readers of objects make.
var integrityKinds = map[string]FindingKind{
	"envelope": FoundEnvelope, "attributes": FoundAttributes, "footer": FoundFooter, "size": FoundSize, "layout": FoundLayoutAltered,
	"tombstoned": FoundTombstoned, "deposit": FoundDeposit, "closed_kek": FoundClosedKEK, "version": FoundRowDiffers, "record": FoundRowDiffers,
}

var (
	headerFaults = []seal.Fault{seal.FaultMagic, seal.FaultVersion, seal.FaultSuite, seal.FaultReserved, seal.FaultSalt, seal.FaultSize, seal.FaultCommitment}
	footerFaults = []seal.Fault{seal.FaultFooter, seal.FaultAlgorithm, seal.FaultPadding, seal.FaultRecord, seal.FaultFlags}
	lengthFaults = []seal.Fault{seal.FaultTruncated, seal.FaultTrailing, seal.FaultLength}
)

// kindOf gives the kind of an error that reading an object ended in.
func kindOf(err error) FindingKind {
	var (
		integrity *integrityError
		sealed    *seal.IntegrityError
	)
	switch {
	case errors.As(err, &integrity):
		if kind, ok := integrityKinds[integrity.kind]; ok {
			return kind
		}
		return FoundUnreadable
	case errors.As(err, &sealed):
		return kindOfFault(sealed.Fault)
	case errors.Is(err, errLayoutUnavailable):
		return FoundLayoutMissing
	case errors.Is(err, keys.ErrNotRecipient):
		return FoundNotRecipient
	case errors.Is(err, keys.ErrKEKUnavailable) && errors.Is(err, keys.ErrSystemNotFound):
		return FoundKEKMissing
	case errors.Is(err, keys.ErrKEKUnavailable):
		return FoundUnreadable
	case errors.Is(err, keys.ErrUntrusted), errors.Is(err, keys.ErrCommit), errors.Is(err, keys.ErrGrant), errors.Is(err, keys.ErrKEKConflict):
		return FoundUntrusted
	}
	return FoundUnreadable
}

func kindOfFault(f seal.Fault) FindingKind {
	switch {
	case slices.Contains(headerFaults, f):
		return FoundHeader
	case slices.Contains(footerFaults, f):
		return FoundFooter
	case slices.Contains(lengthFaults, f):
		return FoundSize
	}
	return FoundChunk
}

// differences says in which respects a row is not what the object itself says; empty for none.
func differences(row, object *metadata.Record) string {
	switch {
	case row.Size != object.Size:
		return fmt.Sprintf("The row has a size of %d bytes, the object %d.", row.Size, object.Size)
	case row.ETag != object.ETag:
		return fmt.Sprintf("The row has ETag %s, the object %s.", row.ETag, object.ETag)
	case row.ContentType != object.ContentType:
		return "The row has another content type than the object."
	case !sameChecksum(row.Checksum, object.Checksum):
		return "The row has another checksum than the object."
	case !slices.EqualFunc(row.Parts, object.Parts, samePart):
		return "The row has other parts than the object's layout."
	}
	return ""
}

func sameChecksum(a, b metadata.Checksum) bool {
	return a.Algorithm == b.Algorithm && a.Type == b.Type && slices.Equal(a.Value, b.Value)
}

// samePart leaves the part's checksum out: layouts from before they had one are good.
func samePart(a, b metadata.Part) bool {
	return a.Number == b.Number && a.Size == b.Size && a.Salt == b.Salt && slices.Equal(a.MD5, b.MD5)
}
