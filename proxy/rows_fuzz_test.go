package proxy

import (
	"net/http"
	"testing"

	"cofre/metadata"
	"cofre/s3api"
)

// FuzzUploadRow reads any bytes as what the row of an upload holds, which whoever can write to the store could have written.
func FuzzUploadRow(f *testing.F) {
	f.Add([]byte(`{"list":[{"n":1,"etag":"e"}]}`), []byte(`{"attributes":"AA==","kms_key":"k"}`))
	f.Add([]byte(`null`), []byte(``))
	f.Add([]byte(`{"List":1}`), []byte(`{"care":null}`))
	f.Fuzz(func(t *testing.T, result, attributes []byte) {
		up := &openUpload{Upload: metadata.Upload{Result: result, Intent: result, Attributes: attributes}}
		_, _ = up.attributes()
		up.encryption()
		if done, err := sameCompletion(up, nil); err == nil && len(done.List) != 0 {
			t.Errorf("%s is the completion of nothing", result)
		}
	})
}

// FuzzEncryption reads any values as the headers of server-side encryption, and holds that a key is taken only with its own MD5.
func FuzzEncryption(f *testing.F) {
	f.Add("AES256", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "8K8NUEcRxSyPbyDsUhlmSw==")
	f.Add("aws:kms", "", "")
	f.Add("", "AA==", "\xff")
	h := &Handler{}
	f.Fuzz(func(t *testing.T, algorithm, key, sum string) {
		header := http.Header{}
		for name, v := range map[string]string{headerSSE: algorithm, customerPrefix + "Algorithm": algorithm, customerPrefix + "Key": key, customerPrefix + "Key-Md5": sum} {
			header.Set(name, v)
		}
		e, err := h.parseEncryption(header, true)
		if err == nil && e.customerKey != nil && len(e.customerKey) != 32 {
			t.Errorf("a key of %d bytes", len(e.customerKey))
		}
		header.Del(headerSSE)
		e, err = h.parseEncryption(header, true)
		if err == nil && e.customerKey != nil && s3api.ErrInvalidArgument.Is(err) {
			t.Error("both a key and an error")
		}
	})
}
