package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"cofre/s3api"
	"cofre/sigv4"
)

// form is a form upload whose fields have been read and whose file has not.
type form struct {
	fields []sigv4.FormField // those before the file, as sent and in order
	file   s3api.FormPart
	reader *s3api.FormReader // stands at the first byte of the file
}

// readForm reads the fields of a form up to its file. What follows the file is no part of the form to S3.
func readForm(rq *request) (*form, error) {
	reader, ferr := s3api.NewFormReader(formBody{rq.Body}, rq.Header.Get("Content-Type"))
	if ferr != nil {
		return nil, ferr
	}
	f := &form{reader: reader}
	for {
		part, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, s3api.ErrInvalidArgument.With(s3api.ErrIncorrectNumberOfFilesInPostRequest.Message).
				Field("ArgumentName", "file").Field("ArgumentValue", "0")
		case err != nil:
			return nil, err
		case reader.Offset() > s3api.MaxFormFields:
			return nil, s3api.ErrFormFieldsTooLarge()
		case strings.EqualFold(part.Name, "file"):
			f.file = part
			return f, nil
		}
		value, err := io.ReadAll(io.LimitReader(reader, s3api.MaxFormFields+1-reader.Offset()))
		if err != nil {
			return nil, err
		}
		if reader.Offset() > s3api.MaxFormFields {
			return nil, s3api.ErrFormFieldsTooLarge()
		}
		f.fields = append(f.fields, sigv4.FormField{Name: part.Name, Value: string(value)})
	}
}

// formBody tells a body that breaks off or stalls as S3 tells it.
type formBody struct{ io.Reader }

func (b formBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = sigv4.BodyError(err)
	}
	return n, err
}

// value gives a field, whose name may be in any case. VerifyForm has refused forms that have one twice.
func (f *form) value(name string) (value string, given bool) {
	for _, field := range f.fields {
		if strings.EqualFold(field.Name, name) {
			return field.Value, true
		}
	}
	return "", false
}

// key is the key field with the name of the file put in. S3 takes the name without the path that some browsers send, and
// leaves the key alone where there is no name at all.
func (f *form) key() string {
	key, _ := f.value("key")
	if !f.file.HasFilename {
		return key
	}
	name := f.file.Filename[strings.LastIndexAny(f.file.Filename, `/\`)+1:]
	return strings.ReplaceAll(key, "${filename}", name)
}

// expanded gives the fields as a policy judges them: with the key that will be written, in the bucket that it will be
// written to.
func (f *form) expanded(bucket, key string) []sigv4.FormField {
	fields := []sigv4.FormField{{Name: "bucket", Value: bucket}}
	for _, field := range f.fields {
		switch strings.ToLower(field.Name) {
		case "bucket":
		case "key":
			fields = append(fields, sigv4.FormField{Name: field.Name, Value: key})
		default:
			fields = append(fields, field)
		}
	}
	return fields
}

// formHeaders are the fields, in lower case, that are headers of a PUT by the same name. So are all x-amz-* fields but formCredentials.
var formHeaders = []string{
	"cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires",
}

// formCredentials are fields that say who sends the form.
var formCredentials = []string{"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token"}

// header gives the headers of the PUT that the form stands for. Nothing of the request's own headers is among them.
func (f *form) header() (http.Header, error) {
	header := http.Header{}
	for _, field := range f.fields {
		name, value := strings.ToLower(field.Name), field.Value
		switch {
		case slices.Contains(formCredentials, name):
			continue
		case name == "acl":
			name = "x-amz-acl"
		case name == "tagging":
			tags, err := s3api.DecodeTagging(strings.NewReader(value), s3api.MaxObjectTags)
			if err != nil {
				return nil, err
			}
			name, value = "x-amz-tagging", s3api.EncodeTaggingHeader(tags)
		case !strings.HasPrefix(name, "x-amz-") && !slices.Contains(formHeaders, name):
			continue // a field of the page's own, or of this form's answer
		}
		if !validHeaderName(name) || !validHeaderValue(value) {
			return nil, s3api.ErrInvalidArgument.With("A form field cannot be a header.").Field("ArgumentName", field.Name)
		}
		if value != "" || strings.HasPrefix(name, "x-amz-meta-") {
			header.Set(name, value)
		}
	}
	if err := s3api.CheckHeaders(s3api.PutObject, header); err != nil {
		return nil, err
	}
	return header, nil
}

// validHeaderName says whether a lower-case name is a token (RFC 9110 section 5.6.2).
func validHeaderName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && !bytes.ContainsRune([]byte("!#$%&'*+-.^_`|~"), rune(c)) {
			return false
		}
	}
	return name != ""
}

// validHeaderValue keeps line breaks and other control characters out of headers (RFC 9110 section 5.5).
func validHeaderValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
