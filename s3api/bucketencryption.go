package s3api

import "io"

// CheckBucketEncryption judges the document of PutBucketEncryption. Only what holds already is taken: one rule that asks for
// AES256. Any other default would have to change something.
func CheckBucketEncryption(r io.Reader) *Error {
	var (
		rules                     int
		algorithm, keyID, blocked string
	)
	err := decodeClient(r, maxDocument, "ServerSideEncryptionConfiguration", func(s *scanner) error {
		return s.children(func(name []byte) error {
			if string(name) != "Rule" {
				return nil
			}
			rules++
			return scanEncryptionRule(s, &algorithm, &keyID, &blocked)
		})
	})
	switch {
	case err != nil:
		return err
	case rules != 1, algorithm != "AES256" && algorithm != "aws:kms" && algorithm != "aws:kms:dsse":
		return ErrMalformedXML
	case algorithm != "AES256":
		return ErrNotImplemented.With("A default of " + algorithm + " is not implemented: objects that are sent without encryption headers are encrypted with AES256.")
	case keyID != "":
		return ErrInvalidArgument.With("a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse").
			Field("ArgumentName", "ApplyServerSideEncryptionByDefault")
	case blocked != "" && blocked != "NONE":
		return ErrNotImplemented.With("Blocking encryption types is not implemented.")
	}
	return nil
}

func scanEncryptionRule(s *scanner, algorithm, keyID, blocked *string) error {
	var o once
	return s.children(func(name []byte) error {
		switch string(name) {
		case "ApplyServerSideEncryptionByDefault":
			return s.children(func(name []byte) error {
				switch string(name) {
				case "SSEAlgorithm":
					return o.text(s, name, algorithm)
				case "KMSMasterKeyID":
					return o.text(s, name, keyID)
				}
				return nil
			})
		case "BlockedEncryptionTypes":
			return s.children(func(name []byte) error {
				if string(name) != "EncryptionType" {
					return nil
				}
				kind, err := s.text()
				if kind != "NONE" || *blocked == "" {
					*blocked = kind
				}
				return err
			})
		}
		return nil
	})
}
