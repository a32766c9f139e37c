package s3api

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// oneText reads the text of one child of a client's document; other children are passed over.
func oneText(r io.Reader, root, child string) (value string, err *Error) {
	var o once
	err = decodeClient(r, maxDocument, root, func(s *scanner) error {
		return s.children(func(name []byte) error {
			if string(name) == child {
				return o.text(s, name, &value)
			}
			return nil
		})
	})
	return value, err
}

// CheckRequestPayment judges the document of PutBucketRequestPayment.
func CheckRequestPayment(r io.Reader) *Error {
	payer, err := oneText(r, "RequestPaymentConfiguration", "Payer")
	if err == nil && payer != "Requester" && payer != "BucketOwner" {
		return ErrMalformedXML
	}
	return err
}

// CheckPublicAccessBlock judges the document of PutPublicAccessBlock.
func CheckPublicAccessBlock(r io.Reader) *Error {
	var o once
	return decodeClient(r, maxDocument, "PublicAccessBlockConfiguration", func(s *scanner) error {
		return s.children(func(name []byte) error {
			switch string(name) {
			case "BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets":
				var text string
				if err := o.text(s, name, &text); err != nil {
					return err
				}
				if _, ok := parseBool(text); !ok {
					return errXML
				}
			}
			return nil
		})
	})
}

// Notifications is what a NotificationConfiguration asks for, as far as it matters to whom it is handed.
type Notifications struct {
	// Topics is the number of TopicConfiguration elements.
	Topics int
	// Others says that it names queues, functions or EventBridge, which only AWS has.
	Others bool
}

// DecodeNotification reads the document of PutBucketNotificationConfiguration.
func DecodeNotification(r io.Reader) (Notifications, *Error) {
	var n Notifications
	err := decodeClient(r, maxDocument, "NotificationConfiguration", func(s *scanner) error {
		return s.children(func(name []byte) error {
			switch string(name) {
			case "TopicConfiguration":
				n.Topics++
				return readTopic(s)
			case "QueueConfiguration", "CloudFunctionConfiguration", "EventBridgeConfiguration":
				n.Others = true
			}
			return nil
		})
	})
	return n, err
}

// errTopicARN is AWS's word for a topic that is named by anything but its ARN.
var errTopicARN = ErrInvalidArgument.With("The ARN could not be parsed").Field("ArgumentName", "Topic")

// readTopic judges a TopicConfiguration. A topic is named, and where its messages go is known to who made it: an address here could
// have the store call whomever a client likes.
func readTopic(s *scanner) error {
	var seen once
	var topic string
	if err := s.children(func(name []byte) error {
		if string(name) == "Topic" {
			return seen.text(s, name, &topic)
		}
		return nil
	}); err != nil {
		return err
	}
	parts := strings.Split(topic, ":") // arn:aws:sns:region:account:name; Ceph RGW has zone group and tenant there
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sns" || parts[5] == "" {
		return errTopicARN
	}
	for _, part := range parts {
		if strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.$") != "" {
			return errTopicARN
		}
	}
	return nil
}

// CheckPolicy judges the form of a bucket policy: JSON whose first byte opens an object, as AWS says. What it grants is for the store.
func CheckPolicy(text []byte) *Error {
	if !bytes.HasPrefix(text, []byte("{")) || !json.Valid(text) {
		return ErrMalformedPolicy
	}
	return nil
}

// ScanReplication counts the rules in a store's answer to GetBucketReplication. Ceph RGW answers a configuration without any where S3
// says that there is none.
func ScanReplication(text []byte) (rules int, err error) {
	err = decodeBackend(bytes.NewReader(text), maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) error {
			if string(name) == "Rule" {
				rules++
			}
			return nil
		})
	}, "ReplicationConfiguration")
	return rules, err
}

// PublicAccessBlock is a PublicAccessBlockConfiguration.
type PublicAccessBlock struct {
	BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets bool
}

// ScanPublicAccessBlock reads a store's answer to GetPublicAccessBlock, whose root element Ceph RGW 16 gives a name of its own.
func ScanPublicAccessBlock(text []byte) (PublicAccessBlock, error) {
	var p PublicAccessBlock
	err := decodeBackend(bytes.NewReader(text), maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) error {
			var into *bool
			switch string(name) {
			case "BlockPublicAcls":
				into = &p.BlockPublicAcls
			case "IgnorePublicAcls":
				into = &p.IgnorePublicAcls
			case "BlockPublicPolicy":
				into = &p.BlockPublicPolicy
			case "RestrictPublicBuckets":
				into = &p.RestrictPublicBuckets
			default:
				return nil
			}
			value, err := s.text()
			*into, _ = parseBool(value)
			return err
		})
	}, "PublicAccessBlockConfiguration", "BlockPublicAccessBlockConfiguration")
	return p, err
}

// EncodePublicAccessBlock writes the answer to GetPublicAccessBlock.
func EncodePublicAccessBlock(p PublicAccessBlock) []byte {
	d := newDocument()
	d.openRoot("PublicAccessBlockConfiguration", namespace)
	d.bool("BlockPublicAcls", p.BlockPublicAcls)
	d.bool("IgnorePublicAcls", p.IgnorePublicAcls)
	d.bool("BlockPublicPolicy", p.BlockPublicPolicy)
	d.bool("RestrictPublicBuckets", p.RestrictPublicBuckets)
	d.close("PublicAccessBlockConfiguration")
	return d.b
}

// WriteBucketEncryption writes the answer to GetBucketEncryption of a bucket whose objects are all encrypted with AES-256 (SSE-S3).
func WriteBucketEncryption(w io.Writer) error {
	d := newDocument()
	d.openRoot("ServerSideEncryptionConfiguration", namespace)
	d.open("Rule")
	d.open("ApplyServerSideEncryptionByDefault")
	d.text("SSEAlgorithm", "AES256")
	d.close("ApplyServerSideEncryptionByDefault")
	d.bool("BucketKeyEnabled", false)
	d.close("Rule")
	d.close("ServerSideEncryptionConfiguration")
	return d.writeTo(w)
}
