package e2e_test

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"cofre/internal/longtest"
)

// marked are secrets that are known to the test, in the ways in which they could be written down.
func marked(secrets map[string]string) []needle {
	var list []needle
	for what, secret := range secrets {
		list = append(list, needle{what, []byte(secret)}, needle{what + ", base64", []byte(base64.StdEncoding.EncodeToString([]byte(secret)))[:len(secret)]},
			needle{what + ", hexadecimal", []byte(hex.EncodeToString([]byte(secret)))}, needle{what + ", as numbers", []byte(strings.Trim(fmt.Sprint([]byte(secret)), "[]"))})
	}
	return list
}

// TestSecretsShowNowhere sends every operation, signed rightly and wrongly, with a customer's key and without, to a process whose secrets
// are known, and looks for them in everything that it tells: answers, log (debug), metrics, profiles.
func TestSecretsShowNowhere(t *testing.T) {
	s := newSite(t, "")
	s.moreConfig = "admin_pprof: true\nsse_c_over_http: true\nlog: {level: debug}\n"
	r := s.start(t, "secretive")
	customer := strings.ToUpper(randomHex(16))
	wrong := randomHex(20)
	s.cofre(t, "credential", "add", "--grant", "all:*") // a stored one, sealed
	passphrase, err := os.ReadFile(filepath.Join(s.dir, "passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"the client's secret": s.secret, "the storage's secret": s.rgw.secret, "the passphrase": string(passphrase), "a wrong secret": wrong, "a customer's key": customer, "the store's URL": s.metadataURL()}
	bucket := r.bucket(t, "secretive")
	told, requests := map[string][]byte{}, 0
	text, err := os.ReadFile("../s3api/testdata/operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum([]byte(customer))
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" || f[0] == "DeleteBucket" {
			continue
		}
		path := strings.NewReplacer("{Bucket}", bucket, "{Key+}", "k").Replace(f[2])
		for _, p := range f[3:] {
			if name, needed := strings.CutSuffix(p, "*"); needed {
				path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + name + "=1"
			}
		}
		for who, secret := range map[string]string{"the owner": s.secret, "a guesser": wrong} {
			for _, withKey := range []bool{false, true} {
				body := "<x/>"
				if f[1] == "GET" || f[1] == "HEAD" {
					body = ""
				}
				req, err := http.NewRequestWithContext(t.Context(), f[1], r.endpoint+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if withKey {
					req.Header.Set("X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256")
					req.Header.Set("X-Amz-Server-Side-Encryption-Customer-Key", base64.StdEncoding.EncodeToString([]byte(customer)))
					req.Header.Set("X-Amz-Server-Side-Encryption-Customer-Key-Md5", base64.StdEncoding.EncodeToString(sum[:]))
				}
				req.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
				signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
				if err := signer.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: s.access, SecretAccessKey: secret}, req, "UNSIGNED-PAYLOAD", "s3", region, time.Now()); err != nil {
					t.Fatal(err)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				var answer bytes.Buffer
				_ = resp.Header.Write(&answer)
				_, _ = io.Copy(&answer, resp.Body)
				resp.Body.Close()
				if strings.HasPrefix(f[0], "Get") && withKey && resp.StatusCode == http.StatusOK {
					answer.Reset() // an object may hold whatever its owner put there
				}
				told[fmt.Sprintf("the answer to %s of %s (customer's key: %v)", f[0], who, withKey)] = answer.Bytes()
				requests++
			}
		}
	}
	for _, page := range []string{"/metrics", "/readyz", "/v1/site", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutine?debug=1", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1",
		"/debug/pprof/block?debug=1", "/debug/pprof/mutex?debug=1", "/debug/pprof/threadcreate?debug=1", "/debug/pprof/heap", "/debug/pprof/goroutine", "/debug/pprof/symbol", "/debug/pprof/trace?seconds=1"} {
		told[page] = fetchPage(t, r.admin+page)
	}
	r.stop(t)
	if told["the log"], err = os.ReadFile(r.log); err != nil {
		t.Fatal(err)
	}
	if len(told["the log"]) < requests*50 {
		t.Errorf("the log has %d bytes for %d requests", len(told["the log"]), requests)
	}
	searched := 0
	for where, what := range told {
		searched += len(what)
		for _, leak := range findLeaks(what, marked(secrets)) {
			t.Errorf("%s shows %s", where, leak)
		}
	}
	longtest.Figure(t, "bytes searched for secrets", searched)
	longtest.Figure(t, "requests whose answers were searched for secrets", requests)
}

// fetchPage gets a page, and inflates it where it is a profile.
func fetchPage(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, resp.StatusCode, err)
	}
	if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
		if inflated, err := io.ReadAll(z); err == nil {
			return append(body, inflated...)
		}
	}
	return body
}

// TestAProcessShowsItsMemoryToNobody starts cofre under an account of its own and looks at what the kernel lets others see: no core dump,
// and neither memory nor environment for processes of the same account.
func TestAProcessShowsItsMemoryToNobody(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start a process under another account")
	}
	if binary == "" {
		lack(t, "rgw", "the binary was not built")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "cofre-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/cofre", program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, dir + "/cofre"} {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	cmd := exec.Command(dir+"/cofre", "dev", "--listen", address, "--admin-listen", freeAddress(t), "--data", dir+"/state")
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=/usr/bin:/bin", "COFRE_ACCESS_KEY=COFREEXAMPLEKEY00001", "COFRE_SECRET_KEY=a-marked-secret-for-trying-out-000001"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	}()
	up := false
	for deadline := time.Now().Add(time.Minute); !up && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get("http://" + address + "/"); err == nil {
			resp.Body.Close()
			up = true
		}
	}
	if !up {
		t.Fatal("cofre does not serve")
	}
	proc := fmt.Sprintf("/proc/%d", cmd.Process.Pid)
	limits, err := os.ReadFile(proc + "/limits")
	if err != nil {
		t.Fatal(err)
	}
	core := ""
	for line := range strings.Lines(string(limits)) {
		if strings.HasPrefix(line, "Max core file size") {
			core = strings.Join(strings.Fields(line)[4:6], " ")
		}
	}
	if core != "0 0" {
		t.Errorf("the limits of core dumps are %q", core)
	}
	for _, file := range []string{"environ", "mem", "maps", "auxv"} {
		info, err := os.Stat(filepath.Join(proc, file))
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
			t.Errorf("%s belongs to account %d: it can be read", file, owner)
		}
	}
	other := exec.Command("/bin/cat", proc+"/environ")
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if seen, err := other.CombinedOutput(); err == nil || strings.Contains(string(seen), "a-marked-secret") {
		t.Errorf("another process of the account reads %q", seen)
	}
}
