package seal

import (
	"errors"
	"strconv"
)

var (
	// ErrIntegrity matches every *IntegrityError: what the storage gave is not what was written.
	ErrIntegrity = errors.New("seal: integrity violated")
	// ErrPlaintextLength says that a source gave fewer or more bytes than its part was declared to have.
	ErrPlaintextLength = errors.New("seal: plaintext length is not the declared one")
	// ErrRange says that a range does not lie within the object.
	ErrRange = errors.New("seal: range is not within the object")
	// ErrCustomerKey says that a customer key is missing, is not wanted, or is not 32 bytes long.
	ErrCustomerKey = errors.New("seal: customer key missing, unwanted or malformed")
	// ErrZeroSalt says that a writer passed a salt that was never drawn.
	ErrZeroSalt = errors.New("seal: salt is zero")
	// ErrClosed says that an Encrypter or Decrypter was used after Close.
	ErrClosed = errors.New("seal: closed")
)

// Fault says what was wrong with stored bytes: the classes of docs/FORMAT.md section 10 as far as this package sees them.
type Fault string

// Faults of headers, chunks and footers, of the stream as a whole, and of envelopes, attributes and layouts.
const (
	FaultMagic      Fault = "bad magic"
	FaultVersion    Fault = "unknown version"
	FaultSuite      Fault = "unknown suite"
	FaultReserved   Fault = "reserved byte is not zero"
	FaultFlags      Fault = "undefined flag"
	FaultEncoding   Fault = "encoding is not canonical"
	FaultLength     Fault = "length does not fit"
	FaultLimit      Fault = "size beyond the limits"
	FaultParts      Fault = "part numbers do not rise as they must"
	FaultSalt       Fault = "salt is not the recorded one"
	FaultSize       Fault = "plaintext length is not the recorded one"
	FaultCommitment Fault = "commitment mismatch"
	FaultChunk      Fault = "chunk does not open"
	FaultFooter     Fault = "footer does not open"
	FaultAlgorithm  Fault = "unknown checksum algorithm"
	FaultPadding    Fault = "unused bytes are not zero"
	FaultRecord     Fault = "footer is not the recorded one"
	FaultTruncated  Fault = "stored bytes end too early"
	FaultTrailing   Fault = "stored bytes go on behind the last footer"
	FaultKEK        Fault = "envelope names another KEK"
	FaultEnvelope   Fault = "envelope does not open"
	FaultZeroKey    Fault = "key is zero"
	FaultMissing    Fault = "missing"
	FaultAttributes Fault = "attributes do not open"
	FaultLayout     Fault = "layout does not open"
	FaultDocument   Fault = "sealed document is malformed"
)

// noIndex stands in an IntegrityError for "no particular part" and "no particular chunk".
const noIndex = -1

// IntegrityError says what was wrong with stored bytes and where. It never holds plaintext or key material.
type IntegrityError struct {
	Fault Fault
	Part  int   // part number, 0 for a single-part object; -1 where no part is meant
	Chunk int64 // index of the chunk within its part; -1 where no chunk is meant
}

// Error names the place, then the fault.
func (e *IntegrityError) Error() string {
	msg := "seal: "
	if e.Part >= 0 {
		msg += "part " + strconv.Itoa(e.Part) + ": "
	}
	if e.Chunk >= 0 {
		msg += "chunk " + strconv.FormatInt(e.Chunk, 10) + ": "
	}
	return msg + string(e.Fault)
}

// Is makes every IntegrityError match ErrIntegrity.
func (e *IntegrityError) Is(target error) bool { return target == ErrIntegrity }

// fault is an IntegrityError of something that is no part: a size, an envelope, attributes or a layout.
func fault(f Fault) error { return &IntegrityError{Fault: f, Part: noIndex, Chunk: noIndex} }

// partFault is an IntegrityError of a part's header, its footer, or of where the part ends.
func partFault(f Fault, number int) error {
	return &IntegrityError{Fault: f, Part: number, Chunk: noIndex}
}
