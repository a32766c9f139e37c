package sigv4

import (
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
)

// The example of "Deriving a signing key" in the AWS documentation, for another service.
func TestSigningKeyOfTheDocumentation(t *testing.T) {
	c := credential{day: "20150830", region: "us-east-1", service: "iam", terminator: terminator}
	key := deriveSigningKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", c)
	if got := hex.EncodeToString(key[:]); got != "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9" {
		t.Error(got)
	}
}

func TestKeyCacheNeverAnswersForAnotherSecret(t *testing.T) {
	var cache keyCache
	c := credential{accessKeyID: "a", day: "20261122", region: "r", service: serviceS3, terminator: terminator}
	first, remember := cache.signingKey("old secret", c)
	remember()
	if second, _ := cache.signingKey("new secret", c); second.signingKey == first.signingKey || second.signingKey != deriveSigningKey("new secret", c) {
		t.Error("the key of another secret came back")
	}
	if again, _ := cache.signingKey("old secret", c); again != first {
		t.Error("another key came back")
	}
}

func TestKeyCacheKeepsOnlyWhatVerifiedAndStaysBounded(t *testing.T) {
	var cache keyCache
	for i := range 5 * keyCacheSize {
		c := credential{accessKeyID: "a", day: "20261122", region: fmt.Sprint(i), service: serviceS3, terminator: terminator}
		_, remember := cache.signingKey("secret", c)
		if i%2 == 0 {
			remember()
		}
		if n := len(cache.young) + len(cache.old); n > 2*keyCacheSize || n > i/2+1 {
			t.Fatalf("%d keys after %d", n, i+1)
		}
	}
	if len(cache.young)+len(cache.old) < keyCacheSize/2 {
		t.Error("nothing is kept")
	}
}

func TestKeyCacheServesManyAtOnce(t *testing.T) {
	var cache keyCache
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 500 {
				c := credential{accessKeyID: fmt.Sprint(j % 7), day: "20261122", region: fmt.Sprint(i % 2)}
				key, remember := cache.signingKey("secret", c)
				remember()
				if key.signingKey != deriveSigningKey("secret", c) {
					t.Error("wrong key")
				}
			}
		})
	}
	wait.Wait()
}
