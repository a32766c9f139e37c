package main

import (
	"net"
	"net/http"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cofre/keys/kmsfile/kmstest"
)

// scriptVault is the Vault of one script. It keeps its address when it goes and comes back.
type scriptVault struct {
	*kmstest.Vault
	address string
	server  *http.Server
}

type scriptVaultKey struct{}

// vaultCommand is
//
//	vault up | down             serves a Vault with a Transit key "site", and sets VAULT_ADDR and VAULT_TOKEN; ends it
//	vault seal | unseal         lets it answer 503 to everything; and no more
//	vault wait-asked            waits until somebody has met a sealed Vault
//	vault key NAME              makes a Transit key, or a new version of one
//	vault token NAME [PATH]     issues a renewable token of two seconds, for one path or for all
//	vault wait-renewed          waits until a token has been renewed
//	vault revoke NAME           ends a token
func vaultCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: vault up|down|seal|unseal|wait-asked|key|token|wait-renewed|revoke")
	}
	v, _ := ts.Value(scriptVaultKey{}).(*scriptVault)
	switch verb := args[0]; verb {
	case "up":
		v.up(ts)
	case "down":
		ts.Check(v.server.Close())
	case "seal", "unseal":
		v.SetSealed(verb == "seal")
	case "wait-asked":
		before := v.Unanswered()
		until(ts, "asked while sealed", func() bool { return v.Unanswered() > before })
	case "wait-renewed":
		until(ts, "renewed", func() bool {
			select {
			case path := <-v.Asked():
				return path == "auth/token/renew-self"
			default:
				return false
			}
		})
	case "key":
		v.AddKey(args[1])
	case "token":
		v.AddToken(args[1], kmstest.Token{TTL: 2 * time.Second, Renewable: true, Paths: args[2:]})
	case "revoke":
		v.Revoke(args[1])
	default:
		ts.Fatalf("unknown: vault %s", verb)
	}
}

func newScriptVault() *scriptVault {
	v := &scriptVault{Vault: kmstest.NewVault(), address: "127.0.0.1:0"}
	v.AddKey("site")
	v.AddToken("root-token", kmstest.Token{})
	return v
}

func (v *scriptVault) up(ts *testscript.TestScript) {
	listener, err := net.Listen("tcp", v.address)
	ts.Check(err)
	v.address = listener.Addr().String()
	v.server = &http.Server{Handler: v.Vault}
	go v.server.Serve(listener) // until it is closed
	ts.Defer(func() { v.server.Close() })
	ts.Setenv("VAULT_ADDR", "http://"+v.address)
	ts.Setenv("VAULT_TOKEN", "root-token")
}
