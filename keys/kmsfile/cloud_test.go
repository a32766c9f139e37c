package kmsfile

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	cloudkms "cloud.google.com/go/kms/apiv1"
	"cloud.google.com/go/kms/apiv1/kmspb"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"cofre/keys"
)

// Google's and Microsoft's clients cannot be sent elsewhere by a URL, so their servers stand where the client is made.

// googleKMS seals by remembering. What it gives out opens only for the same key and associated data.
type googleKMS struct {
	kmspb.UnimplementedKeyManagementServiceServer
	sealed map[string]*kmspb.EncryptRequest
	fault  error
}

func (g *googleKMS) Encrypt(_ context.Context, in *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	if g.fault != nil {
		return nil, g.fault
	}
	token := rand.Text()
	g.sealed[token] = in
	return &kmspb.EncryptResponse{Name: in.Name + "/cryptoKeyVersions/1", Ciphertext: []byte(token)}, nil
}

func (g *googleKMS) Decrypt(_ context.Context, in *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	if g.fault != nil {
		return nil, g.fault
	}
	was := g.sealed[string(in.Ciphertext)]
	if was == nil || was.Name != in.Name || string(was.AdditionalAuthenticatedData) != string(in.AdditionalAuthenticatedData) {
		return nil, status.Error(codes.InvalidArgument, "Decryption failed: verify that 'name' refers to the correct CryptoKey.")
	}
	return &kmspb.DecryptResponse{Plaintext: was.Plaintext}, nil
}

// startGoogle serves a KMS and gives a key of it.
func startGoogle(t *testing.T) (*googleKMS, Key) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	kms, server := &googleKMS{sealed: map[string]*kmspb.EncryptRequest{}}, grpc.NewServer()
	kmspb.RegisterKeyManagementServiceServer(server, kms)
	go server.Serve(listener) // ends by Stop
	t.Cleanup(server.Stop)
	key, err := ParseKey("gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k")
	if err != nil {
		t.Fatal(err)
	}
	key.provider.open = openGCP(func(ctx context.Context) (*cloudkms.KeyManagementClient, func(), error) {
		client, err := cloudkms.NewKeyManagementClient(ctx, option.WithEndpoint(listener.Addr().String()),
			option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
		return client, func() { client.Close() }, err
	})
	return kms, key
}

// azureKMS is the transport of a client of Key Vault: it answers the way the vault would.
type azureKMS struct {
	key   *rsa.PrivateKey
	fault int // status
	err   error
}

func (a *azureKMS) Do(r *http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	answer := func(code int, body any) (*http.Response, error) {
		text, err := json.Marshal(body)
		return &http.Response{
			StatusCode: code, Status: http.StatusText(code), Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(string(text))), Request: r,
		}, err
	}
	if r.Header.Get("Authorization") == "" { // Key Vault says first by whom it wants to be told who we are
		resp, err := answer(http.StatusUnauthorized, map[string]any{})
		resp.Header.Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"`)
		return resp, err
	}
	if a.fault != 0 {
		return answer(a.fault, map[string]any{"error": map[string]string{"code": "Fault", "message": "a fault"}})
	}
	var in struct{ Alg, Value string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	value, err := base64.RawURLEncoding.DecodeString(in.Value)
	if err != nil {
		return nil, err
	}
	var out []byte
	switch {
	case in.Alg != "RSA-OAEP-256":
		return answer(http.StatusBadRequest, map[string]any{"error": map[string]string{"code": "BadParameter"}})
	case r.URL.Path == "/keys/cofre/0123/encrypt":
		out, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, &a.key.PublicKey, value, nil)
	case r.URL.Path == "/keys/cofre/0123/decrypt":
		out, err = rsa.DecryptOAEP(sha256.New(), rand.Reader, a.key, value, nil)
	default:
		return answer(http.StatusNotFound, map[string]any{"error": map[string]string{"code": "KeyNotFound"}})
	}
	if err != nil {
		return answer(http.StatusBadRequest, map[string]any{"error": map[string]string{"code": "BadParameter", "message": "The parameter is incorrect."}})
	}
	return answer(http.StatusOK, map[string]string{"kid": "https://site.vault.azure.net/keys/cofre/0123", "value": base64.RawURLEncoding.EncodeToString(out)})
}

type azureToken struct{}

func (azureToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "bearer-token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func startAzure(t *testing.T) (*azureKMS, Key) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	kms := &azureKMS{key: private}
	key, err := ParseKey("azurekeyvault://site.vault.azure.net/keys/cofre/0123")
	if err != nil {
		t.Fatal(err)
	}
	key.provider.open = openAzure(func(vault string) (*azkeys.Client, error) {
		return azkeys.NewClient(vault, azureToken{}, &azkeys.ClientOptions{ClientOptions: policy.ClientOptions{
			Transport: kms, Retry: policy.RetryOptions{MaxRetries: -1},
		}})
	})
	return kms, key
}

// reopen opens contents with a key whose client is the test's.
func reopen(t *testing.T, contents []byte, key Key) (*keys.Identity, error) {
	t.Helper()
	f, err := Parse(contents)
	if err != nil {
		t.Fatal(err)
	}
	f.Key.provider.open = key.provider.open
	return f.Open(t.Context())
}

func sealWith(t *testing.T, key Key, id *keys.Identity) []byte {
	t.Helper()
	contents, err := Seal(t.Context(), key, id)
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

func generate(t *testing.T) *keys.Identity {
	t.Helper()
	id, err := keys.GenerateIdentity("a")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func expectKind(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if err != nil && strings.Contains(err.Error(), "bearer-token") {
		t.Errorf("%q holds a secret", err)
	}
}

func TestGoogleSealsAndOpensBoundToTheSite(t *testing.T) {
	kms, key := startGoogle(t)
	id := generate(t)
	contents := sealWith(t, key, id)
	got, err := reopen(t, contents, key)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() != id.ID() {
		t.Error("another identity came back")
	}
	for _, in := range kms.sealed {
		if !bytes.HasSuffix(in.AdditionalAuthenticatedData, idBytes(id)) || len(in.Plaintext) != keySize {
			t.Errorf("asked to seal %d bytes bound to %x, want 32 bound to the site", len(in.Plaintext), in.AdditionalAuthenticatedData)
		}
	}
	for code, want := range map[codes.Code]error{
		codes.Unavailable: ErrUnavailable, codes.ResourceExhausted: ErrUnavailable, codes.PermissionDenied: ErrDenied,
		codes.Unauthenticated: ErrDenied, codes.FailedPrecondition: ErrDenied, codes.NotFound: ErrNoKey, codes.InvalidArgument: ErrWrongKey,
	} {
		if code == codes.Unavailable { // Google's client tries again until the call's time is over: the classifier alone is asked
			expectKind(t, classify(status.Error(code, "a fault")), want)
			continue
		}
		kms.fault = status.Error(code, "a fault")
		_, err := reopen(t, contents, key)
		expectKind(t, err, want)
	}
}

func idBytes(id *keys.Identity) []byte {
	site := id.ID()
	return site[:]
}

func TestAzureSealsAndOpens(t *testing.T) {
	kms, key := startAzure(t)
	id := generate(t)
	contents := sealWith(t, key, id)
	got, err := reopen(t, contents, key)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() != id.ID() {
		t.Error("another identity came back")
	}
	for code, want := range map[int]error{
		http.StatusServiceUnavailable: ErrUnavailable, http.StatusTooManyRequests: ErrUnavailable, http.StatusForbidden: ErrDenied,
		http.StatusNotFound: ErrNoKey, http.StatusBadRequest: ErrWrongKey,
	} {
		kms.fault = code
		_, err := reopen(t, contents, key)
		expectKind(t, err, want)
	}
	kms.err = &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	_, err = reopen(t, contents, key)
	expectKind(t, err, ErrUnavailable)
	kms.err, kms.fault = nil, 0
	other, _ := startAzure(t)
	kms.key = other.key
	_, err = reopen(t, contents, key)
	expectKind(t, err, ErrWrongKey)
}
