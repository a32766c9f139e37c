package kmsfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/hashicorp/vault/api"
	"gocloud.dev/gcerrors"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Why a file does not open.
var (
	// ErrUnavailable says that the KMS could not be asked, or could not answer. Asking again may help; nothing else does.
	ErrUnavailable = errors.New("does not answer")
	// ErrDenied says that the KMS answered, and does not let us use the key.
	ErrDenied = errors.New("denies the use of the key")
	// ErrNoKey says that the KMS has no such key.
	ErrNoKey = errors.New("has no such key")
	// ErrWrongKey says that the key did not seal this file, or that the file was altered.
	ErrWrongKey = errors.New("does not open this file with this key")
	// ErrAltered says that the KMS opened its part, and that the rest of the file does not belong to it.
	ErrAltered = errors.New("the file was altered, or put together from two: restore it from its copy")
)

// because gives an error its kind, which explain puts into words.
func because(kind, err error) error { return reason{kind, err} }

type reason struct {
	kind error
	error
}

func (r reason) Unwrap() []error { return []error{r.kind, r.error} }

// explain turns a failure of a KMS into words that an operator can act upon: who, what, the KMS's own words, and where to look.
func (k Key) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	kind := classify(err)
	if kind == nil {
		return fmt.Errorf("%s: %s; %s", k.Guard(), words(err), k.provider.access)
	}
	advice := map[error]string{
		ErrUnavailable: k.provider.reach,
		ErrDenied:      k.provider.access,
		ErrNoKey:       `check the key's name in the URL ("kms" in the file)`,
		ErrWrongKey:    `the file was altered or is another one's: restore it from its copy, or correct the URL ("kms" in the file)`,
	}[kind]
	return fmt.Errorf("%s %w: %s; %s", k.Guard(), kind, words(err), advice)
}

// classify gives one of this package's errors, or nil where none is meant.
func classify(err error) error {
	for _, known := range []error{ErrUnavailable, ErrDenied, ErrNoKey, ErrWrongKey} {
		if errors.Is(err, known) {
			return known
		}
	}
	var vault *api.ResponseError
	if errors.As(err, &vault) {
		return classifyVault(vault)
	}
	var azure *azcore.ResponseError
	if errors.As(err, &azure) {
		return classifyStatus(azure.StatusCode)
	}
	var aws interface{ ErrorCode() string } // smithy.APIError
	if errors.As(err, &aws) {
		if kind := classifyAWS(aws.ErrorCode()); kind != nil {
			return kind
		}
	}
	switch gcerrors.Code(err) { // a code of gocloud.dev for what it knows
	case gcerrors.PermissionDenied, gcerrors.FailedPrecondition:
		return ErrDenied
	case gcerrors.NotFound:
		return ErrNoKey
	case gcerrors.InvalidArgument:
		return ErrWrongKey
	case gcerrors.ResourceExhausted, gcerrors.DeadlineExceeded, gcerrors.Internal:
		return ErrUnavailable
	default:
		return classifyTransport(err)
	}
}

// classifyVault reads a refusal of Vault. What the ciphertext's own fault is comes as 400 or 500, depending on the release, so its
// words count; a 500 for which there are none is the server's fault.
func classifyVault(err *api.ResponseError) error {
	said := strings.Join(err.Errors, " ")
	switch {
	case strings.Contains(said, "encryption key not found"):
		return ErrNoKey
	case strings.Contains(said, "message authentication failed"), strings.Contains(said, "invalid ciphertext"):
		return ErrWrongKey
	default:
		return classifyStatus(err.StatusCode)
	}
}

func classifyStatus(code int) error {
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return ErrDenied
	case code == http.StatusNotFound:
		return ErrNoKey
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= http.StatusInternalServerError:
		return ErrUnavailable
	case code == http.StatusBadRequest:
		return ErrWrongKey
	}
	return nil
}

// classifyAWS knows the codes that gocloud.dev leaves out.
func classifyAWS(code string) error {
	switch code {
	case "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "ExpiredTokenException",
		"InvalidClientTokenId", "IncompleteSignature", "MissingAuthenticationTokenException", "OptInRequired":
		return ErrDenied
	case "IncorrectKeyException":
		return ErrWrongKey
	case "ThrottlingException", "ServiceUnavailable", "InternalFailure":
		return ErrUnavailable
	}
	return nil
}

func classifyTransport(err error) error {
	switch status.Code(err) { // gRPC's; Unknown for what is none of its errors
	case codes.Unavailable:
		return ErrUnavailable
	case codes.Unauthenticated:
		return ErrDenied
	}
	var network net.Error
	switch {
	case errors.Is(err, fs.ErrPermission):
		return ErrDenied
	case errors.Is(err, fs.ErrNotExist):
		return ErrNoKey
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // its answer broke off
		return ErrUnavailable
	}
	return nil
}

// maxWords is enough of what a KMS says to know what it means. Some answer with a page.
const maxWords = 400

// words are an error's in one line. Vault's are taken apart: it puts each in a paragraph.
func words(err error) string {
	text := err.Error()
	var vault *api.ResponseError
	if errors.As(err, &vault) {
		text = fmt.Sprintf("%d %s", vault.StatusCode, strings.Join(vault.Errors, " "))
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= maxWords {
		return text
	}
	cut := maxWords
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + " ..."
}
