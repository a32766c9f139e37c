package kmstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// AWS is AWS KMS: Encrypt and Decrypt of its JSON API, with the encryption context, for callers with one access key.
type AWS struct {
	mu        sync.Mutex
	accessKey string
	keys      map[string]secretKey
	denied    map[string]bool // operations, as "Decrypt"
	contexts  []map[string]string
}

// NewAWS makes a server that knows one access key.
func NewAWS(accessKey string) *AWS {
	return &AWS{accessKey: accessKey, keys: map[string]secretKey{}, denied: map[string]bool{}}
}

// AddKey makes a key.
func (a *AWS) AddKey(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[id] = newSecretKey()
}

// Deny takes the right to an operation, "Encrypt" or "Decrypt", from the caller.
func (a *AWS) Deny(operation string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.denied[operation] = true
}

// Contexts are the encryption contexts that came so far.
func (a *AWS) Contexts() []map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]map[string]string(nil), a.contexts...)
}

type awsRequest struct {
	KeyId             string
	Plaintext         []byte
	CiphertextBlob    []byte
	EncryptionContext map[string]string
}

// ServeHTTP answers a request.
func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	refuse := func(code, message string) {
		answer(w, http.StatusBadRequest, map[string]string{"__type": code, "message": message})
	}
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	var in awsRequest
	switch {
	case !ok || r.Method != http.MethodPost || r.URL.Path != "/":
		refuse("UnknownOperationException", "")
		return
	case !strings.Contains(r.Header.Get("Authorization"), "Credential="+a.accessKey+"/") || !strings.Contains(r.Header.Get("Authorization"), "/kms/aws4_request"):
		refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
		return
	case a.denied[operation]:
		refuse("AccessDeniedException", "User: arn:aws:iam::111122223333:user/site is not authorized to perform: kms:"+operation)
		return
	case json.NewDecoder(r.Body).Decode(&in) != nil:
		refuse("SerializationException", "")
		return
	}
	a.contexts = append(a.contexts, in.EncryptionContext)
	bound := fmt.Append(nil, in.EncryptionContext) // fmt sorts maps
	switch operation {
	case "Encrypt":
		key, known := a.keys[in.KeyId]
		if !known {
			refuse("NotFoundException", "Key 'arn:aws:kms:eu-west-1:111122223333:key/"+in.KeyId+"' does not exist")
			return
		}
		blob := append([]byte(in.KeyId+"\x00"), key.seal(in.Plaintext, bound)...)
		answer(w, http.StatusOK, map[string]any{"KeyId": in.KeyId, "CiphertextBlob": blob, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})
	case "Decrypt": // the ciphertext says which key
		id, sealed, _ := strings.Cut(string(in.CiphertextBlob), "\x00")
		key, known := a.keys[id]
		if !known {
			refuse("InvalidCiphertextException", "")
			return
		}
		plaintext, err := key.open([]byte(sealed), bound)
		if err != nil {
			refuse("InvalidCiphertextException", "")
			return
		}
		answer(w, http.StatusOK, map[string]any{"KeyId": id, "Plaintext": plaintext, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})
	default:
		refuse("UnknownOperationException", "")
	}
}
