package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/rogpeppe/go-internal/testscript"

	"cofre/backend/disk"
)

// The scripts under testdata/script run the binary as an operator does. Besides testscript's own commands they have
//
//	free-ports NAME...             puts a free address of this machine into each variable
//	storage NAME                   serves an empty S3 storage until the end of the script and puts its URL into the variable
//	random FILE BYTES              writes a file of random bytes
//	wait-ready ADDRESS             waits until the admin listener says that S3 is served
//	wait-refused ADDRESS           waits until nobody listens there any more
//	wait-metric ADDRESS TEXT       waits until the admin listener's metrics have this text
//	credentials DIR                sets ID and SECRET to the credential of a data directory
//	[!] s3 put|get ENDPOINT BUCKET KEY FILE, s3 head|delete ENDPOINT BUCKET KEY, s3 bucket ENDPOINT BUCKET     with $ID and $SECRET
//	s3 dump ENDPOINT BUCKET DIR    writes every object to a file, and what HEAD says of it as JSON to another that ends in .head
//	[!] http URL                   gets a URL; fails unless the status is 200; the body is stdout
//	vault VERB...                  a Vault server: see vaultCommand
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cofre": main})
}

func TestScript(t *testing.T) {
	files, err := os.ReadDir("testdata/script")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"free-ports":   freePorts,
			"storage":      serveStorage,
			"random":       randomFile,
			"wait-ready":   waitReady,
			"wait-refused": waitRefused,
			"wait-metric":  waitMetric,
			"credentials":  useCredentials,
			"s3":           s3Command,
			"http":         httpCommand,
			"vault":        vaultCommand,
		},
		Setup: func(env *testscript.Env) error {
			// What the machine running the tests has set is no business of theirs.
			kept := env.Vars[:0]
			for _, v := range env.Vars {
				if !strings.HasPrefix(v, "COFRE_") && !strings.HasPrefix(v, "VAULT_") && !strings.HasPrefix(v, "AWS_") {
					kept = append(kept, v)
				}
			}
			env.Vars = append(kept, "COFRE_LIMITS_DRAIN_DELAY=0s") // nobody is there who would go elsewhere meanwhile
			env.Values[scriptVaultKey{}] = newScriptVault()
			return nil
		},
	})
}

// patience bounds every wait. It is far longer than anything takes, even on a busy machine.
const patience = time.Minute

func freePorts(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close() // after all are known, so that no two are the same
		ts.Setenv(name, l.Addr().String())
	}
}

func serveStorage(ts *testscript.TestScript, _ bool, args []string) {
	storage, err := disk.Open(ts.MkAbs("." + args[0]))
	ts.Check(err)
	server := httptest.NewServer(storage.Handler())
	ts.Defer(func() {
		server.Close()
		ts.Check(storage.Close())
	})
	ts.Setenv(args[0], server.URL)
}

func randomFile(ts *testscript.TestScript, _ bool, args []string) {
	var size int
	_, err := fmt.Sscan(args[1], &size)
	ts.Check(err)
	contents := make([]byte, size)
	rand.Read(contents)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), contents, 0o600))
}

func waitReady(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, "ready: "+args[0], func() bool {
		resp, err := http.Get("http://" + args[0] + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func waitRefused(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, "closed: "+args[0], func() bool {
		conn, err := net.Dial("tcp", args[0])
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

func waitMetric(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, "in the metrics: "+args[1], func() bool {
		resp, err := http.Get("http://" + args[0] + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		_, err = text.ReadFrom(resp.Body)
		return err == nil && strings.Contains(text.String(), args[1])
	})
}

func until(ts *testscript.TestScript, what string, done func() bool) {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("still not %s", what)
		}
	}
}

func useCredentials(ts *testscript.TestScript, _ bool, args []string) {
	var c devCredential
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0]+"/credentials.json")), &c))
	ts.Setenv("ID", c.AccessKey)
	ts.Setenv("SECRET", c.SecretKey)
}

func s3Command(ts *testscript.TestScript, neg bool, args []string) {
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + strings.TrimPrefix(args[1], "http://")), Region: "us-east-1", UsePathStyle: true,
		Credentials:      credentials.NewStaticCredentialsProvider(ts.Getenv("ID"), ts.Getenv("SECRET"), ""),
		RetryMaxAttempts: 1,
	})
	err := doS3(ts, client, args[0], args[2:])
	if neg {
		if err == nil {
			ts.Fatalf("s3 %s was allowed", strings.Join(args, " "))
		}
		fmt.Fprintln(ts.Stderr(), err)
		return
	}
	ts.Check(err)
}

func doS3(ts *testscript.TestScript, client *s3.Client, verb string, args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	bucket := aws.String(args[0])
	switch verb {
	case "bucket":
		_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket})
		return err
	case "put":
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String(args[1]), Body: strings.NewReader(ts.ReadFile(args[2]))})
		return err
	case "get":
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String(args[1])})
		if err != nil {
			return err
		}
		defer out.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(out.Body); err != nil {
			return err
		}
		return os.WriteFile(ts.MkAbs(args[2]), body.Bytes(), 0o600)
	case "delete":
		_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String(args[1])})
		return err
	case "dump":
		return dumpBucket(ctx, client, args[0], ts.MkAbs(args[1]))
	case "head":
		out, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String(args[1])})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(ts.Stdout(), "%d bytes, ETag %s\n", aws.ToInt64(out.ContentLength), aws.ToString(out.ETag))
		return err
	default:
		return fmt.Errorf("unknown verb %q", verb)
	}
}

// dumpBucket writes the objects of a small bucket to files, as `aws s3 cp` and `aws s3api head-object` would.
func dumpBucket(ctx context.Context, client *s3.Client, bucket, dir string) error {
	list, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		return err
	}
	for _, o := range list.Contents {
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
		if err != nil {
			return err
		}
		defer out.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(out.Body); err != nil {
			return err
		}
		path := filepath.Join(dir, *o.Key)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		head, err := json.Marshal(map[string]any{"ContentLength": out.ContentLength, "ETag": out.ETag, "Metadata": out.Metadata})
		if err != nil {
			return err
		}
		if err := errors.Join(os.WriteFile(path, body.Bytes(), 0o600), os.WriteFile(path+".head", head, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

func httpCommand(ts *testscript.TestScript, neg bool, args []string) {
	resp, err := http.Get(args[0])
	ts.Check(err)
	defer resp.Body.Close()
	_, err = fmt.Fprint(ts.Stdout(), resp.Status, "\n")
	ts.Check(err)
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), body.String())
	if ok := resp.StatusCode == http.StatusOK; ok == neg {
		ts.Fatalf("%s: %s", args[0], resp.Status)
	}
}
