// Package kmstest has servers that speak the HTTP APIs of KMSs as far as cofre uses them, for tests. They refuse what the real
// ones refuse, with the same statuses and words.
package kmstest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Vault is a Vault server with a Transit engine at transit/ and token authentication. Its clock stands still unless Advance
// moves it, so that tokens expire when a test says so and never because a machine is slow.
type Vault struct {
	mu      sync.Mutex
	now     time.Time
	sealed  bool
	keys    map[string][]secretKey // versions, the first one at 0
	tokens  map[string]*vaultToken
	asked   chan string
	refused int
}

// Token is what a token may do and how long it lives. The zero value is a root token: everything, for ever.
type Token struct {
	TTL       time.Duration // between renewals; 0 is for ever
	MaxTTL    time.Duration // in all; 0 is for ever
	Renewable bool
	// Paths are what it may use, as "transit/decrypt/site"; none means everything.
	Paths []string
}

type vaultToken struct {
	Token
	issued, expires time.Time
}

// NewVault makes a server without keys and tokens.
func NewVault() *Vault {
	return &Vault{
		now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), keys: map[string][]secretKey{}, tokens: map[string]*vaultToken{},
		asked: make(chan string, 1024),
	}
}

// AddKey makes a key, or a new version of it.
func (v *Vault) AddKey(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys[name] = append(v.keys[name], newSecretKey())
}

// AddToken issues a token.
func (v *Vault) AddToken(id string, t Token) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tokens[id] = &vaultToken{Token: t, issued: v.now, expires: v.now.Add(t.TTL)}
}

// Revoke ends a token.
func (v *Vault) Revoke(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.tokens, id)
}

// Advance moves the clock.
func (v *Vault) Advance(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = v.now.Add(d)
}

// SetSealed seals or unseals the server itself: sealed it answers 503 to everything.
func (v *Vault) SetSealed(sealed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sealed = sealed
}

// Asked gives the path of each request that was answered, in order, as "auth/token/renew-self".
func (v *Vault) Asked() <-chan string { return v.asked }

// Unanswered counts the requests that came while the server was sealed.
func (v *Vault) Unanswered() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.refused
}

// ServeHTTP answers a request.
func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	status, body := v.handle(r, path)
	w.Header().Set("Content-Type", "application/json")
	answer(w, status, body)
	if status != http.StatusServiceUnavailable {
		select {
		case v.asked <- path:
		default: // nobody is listening
		}
	}
}

func failure(status int, words string) (int, any) {
	return status, map[string]any{"errors": []string{words}}
}

func (v *Vault) handle(r *http.Request, path string) (int, any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.sealed {
		v.refused++
		return failure(http.StatusServiceUnavailable, "Vault is sealed")
	}
	id := r.Header.Get("X-Vault-Token")
	token := v.tokens[id]
	if token == nil || token.TTL > 0 && !v.now.Before(token.expires) {
		return failure(http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
	}
	if !token.allows(path) {
		return failure(http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	}
	var in map[string]any
	if r.Method != http.MethodGet {
		if r.Method != http.MethodPut && r.Method != http.MethodPost {
			return failure(http.StatusMethodNotAllowed, "unsupported operation")
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return failure(http.StatusBadRequest, "failed to parse JSON input: "+err.Error())
		}
	}
	operation, key, _ := strings.Cut(strings.TrimPrefix(path, "transit/"), "/")
	switch {
	case path == "auth/token/lookup-self" && r.Method == http.MethodGet:
		return v.lookUp(id, token)
	case path == "auth/token/renew-self" && r.Method != http.MethodGet:
		return v.renew(id, token)
	case path == "transit/encrypt/"+key && r.Method != http.MethodGet:
		return v.encrypt(v.keys[key], in)
	case path == "transit/decrypt/"+key && operation == "decrypt" && r.Method != http.MethodGet:
		return v.decrypt(v.keys[key], in)
	}
	return failure(http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", path))
}

// allows is the token's policy. Every token may look at and renew itself, as by Vault's default policy.
func (t *vaultToken) allows(path string) bool {
	if len(t.Paths) == 0 || strings.HasPrefix(path, "auth/token/") {
		return true
	}
	for _, p := range t.Paths {
		if p == path {
			return true
		}
	}
	return false
}

func (t *vaultToken) left(now time.Time) int {
	if t.TTL == 0 {
		return 0
	}
	return int(t.expires.Sub(now) / time.Second)
}

func success(data, auth any) (int, any) {
	return http.StatusOK, map[string]any{
		"request_id": "3f1f6a2e-0000-0000-0000-000000000000", "lease_id": "", "renewable": false, "lease_duration": 0,
		"data": data, "auth": auth, "wrap_info": nil, "warnings": nil,
	}
}

func (v *Vault) lookUp(id string, t *vaultToken) (int, any) {
	return success(map[string]any{
		"id": id, "accessor": "accessor", "display_name": "token", "path": "auth/token/create", "type": "service", "orphan": true,
		"policies": []string{"default", "site"}, "creation_time": t.issued.Unix(), "creation_ttl": int(t.TTL / time.Second),
		"explicit_max_ttl": int(t.MaxTTL / time.Second), "num_uses": 0, "ttl": t.left(v.now), "renewable": t.Renewable,
	}, nil)
}

// renew gives the token its time anew, but never beyond its last day.
func (v *Vault) renew(id string, t *vaultToken) (int, any) {
	if !t.Renewable {
		return failure(http.StatusBadRequest, "lease is not renewable")
	}
	t.expires = v.now.Add(t.TTL)
	if last := t.issued.Add(t.MaxTTL); t.MaxTTL > 0 && t.expires.After(last) {
		t.expires = last
	}
	return success(nil, map[string]any{
		"client_token": id, "accessor": "accessor", "policies": []string{"default", "site"}, "token_policies": []string{"default", "site"},
		"metadata": nil, "lease_duration": t.left(v.now), "renewable": true, "entity_id": "", "token_type": "service", "orphan": true,
	})
}

func (v *Vault) encrypt(versions []secretKey, in map[string]any) (int, any) {
	encoded, ok := in["plaintext"].(string)
	plaintext, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case !ok:
		return failure(http.StatusBadRequest, "missing plaintext to encrypt")
	case err != nil:
		return failure(http.StatusBadRequest, "failed to base64-decode plaintext")
	case len(versions) == 0: // what a policy without "create" meets
		return failure(http.StatusBadRequest, "encryption key not found")
	}
	sealed := versions[len(versions)-1].seal(plaintext, nil)
	return success(map[string]any{
		"ciphertext": fmt.Sprintf("vault:v%d:%s", len(versions), base64.StdEncoding.EncodeToString(sealed)), "key_version": len(versions),
	}, nil)
}

func (v *Vault) decrypt(versions []secretKey, in map[string]any) (int, any) {
	ciphertext, ok := in["ciphertext"].(string)
	if !ok || ciphertext == "" {
		return failure(http.StatusBadRequest, "missing ciphertext to decrypt")
	}
	if len(versions) == 0 {
		return failure(http.StatusBadRequest, "encryption key not found")
	}
	rest, ok := strings.CutPrefix(ciphertext, "vault:v")
	if !ok {
		return failure(http.StatusBadRequest, "invalid ciphertext: no prefix")
	}
	number, encoded, ok := strings.Cut(rest, ":")
	if !ok {
		return failure(http.StatusBadRequest, "invalid ciphertext: wrong number of fields")
	}
	version, err := strconv.Atoi(number)
	if err != nil || version < 1 {
		return failure(http.StatusBadRequest, "invalid ciphertext: version number could not be decoded")
	}
	if version > len(versions) {
		return failure(http.StatusBadRequest, "invalid ciphertext: version is too new")
	}
	sealed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return failure(http.StatusBadRequest, "invalid ciphertext: could not decode base64")
	}
	plaintext, err := versions[version-1].open(sealed, nil)
	if err != nil { // several releases answered 500 here
		return failure(http.StatusInternalServerError, "1 error occurred:\n\t* cipher: message authentication failed\n\n")
	}
	return success(map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plaintext)}, nil)
}
