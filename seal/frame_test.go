package seal

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"cofre/keys"
)

func wiped(f *frame) bool { return allZero(f[:]) }

func TestClosedLeaseGivesItsFrameBackWiped(t *testing.T) {
	var l lease
	buf, err := l.begin()
	if err != nil {
		t.Fatal(err)
	}
	copy(buf[:], "plaintext")
	l.end()
	if l.frame != buf {
		t.Error("the frame was given back before Close")
	}
	l.close()
	if l.frame != nil || !wiped(buf) {
		t.Error("Close does not give the frame back, or not wiped")
	}
}

func TestBusyLeaseGivesItsFrameBackWhenItIsDone(t *testing.T) {
	var l lease
	buf, err := l.begin()
	if err != nil {
		t.Fatal(err)
	}
	copy(buf[:], "plaintext")
	l.close()
	if l.frame != buf || wiped(buf) {
		t.Fatal("Close took the frame away from a read in flight")
	}
	l.end()
	if l.frame != nil || !wiped(buf) {
		t.Error("the read in flight does not give the frame back, or not wiped")
	}
}

func TestFailedDecrypterKeepsNoPlaintext(t *testing.T) {
	dek, id, part := keys.NewDEK(), keys.NewObjectID(), Part{Size: 100, Salt: NewSalt()}
	e := NewEncrypter(dek, id, part, bytes.NewReader(bytes.Repeat([]byte("p"), 100)), func() (Footer, error) { return Footer{}, nil })
	stored, err := io.ReadAll(e)
	if err != nil {
		t.Fatal(err)
	}
	stored[len(stored)-1] ^= 1
	g, err := NewGeometry([]Part{part})
	if err != nil {
		t.Fatal(err)
	}
	d := NewDecrypter(dek, id, g, 0, 100, bytes.NewReader(stored))
	if err := d.Start(); !errors.Is(err, ErrIntegrity) {
		t.Fatalf("Start: %v", err)
	}
	if !wiped(d.lease.frame) {
		t.Error("what did not verify is still in the buffer")
	}
}
