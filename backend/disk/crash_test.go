package disk_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"cofre/access"
	"cofre/backend/disk"
	"cofre/proxy"
)

// serveEnv makes the test binary serve a directory instead of running tests, so that it can be killed.
const serveEnv = "COFRE_DISK_TEST_SERVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		serveUntilKilled(dir)
	}
	// A step of TestStorageIsAMap is a real request with an fsync: fewer of them than rapid's hundred runs.
	if err := flag.Set("rapid.checks", "15"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) {
	b, err := disk.Open(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("http://" + listener.Addr().String())
	err = http.Serve(listener, b.Handler())
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// startProcess serves dir in a process of its own.
func startProcess(t *testing.T, dir string) (c *s3.Client, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"="+dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			cmd.Process.Kill()
			cmd.Wait() // it was killed
		})
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the process did not start: %v", err)
	}
	return newS3(strings.TrimSpace(line)), kill
}

// writer writes to keys of its own and knows what they may hold.
type writer struct {
	c      *s3.Client
	random *rand.Rand
	prefix string
	held   map[string][]byte // acknowledged; nil for nothing there
	key    string            // of the operation under way
	body   []byte            // what it writes; nil for a deletion
}

// run writes until the process is gone.
func (w *writer) run(t *testing.T, acknowledged chan<- struct{}) {
	for {
		w.key = fmt.Sprintf("%s/%d", w.prefix, w.random.Intn(5))
		w.body = make([]byte, w.random.Intn(300_000))
		w.random.Read(w.body)
		var err error
		switch w.random.Intn(6) {
		case 0:
			w.body = nil
			_, err = w.c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &w.key})
		case 1:
			err = w.multipart(t)
		case 2:
			err = w.copy(t)
		default:
			_, err = w.c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &w.key, Body: bytes.NewReader(w.body)})
		}
		var answer smithy.APIError
		if errors.As(err, &answer) {
			t.Errorf("%s: %v", w.key, err)
			return
		}
		if err != nil {
			return // killed
		}
		w.held[w.key] = w.body
		acknowledged <- struct{}{}
	}
}

func (w *writer) multipart(t *testing.T) error {
	created, err := w.c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &w.key})
	if err != nil {
		return err
	}
	part, err := w.c.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: aws.String(bucket), Key: &w.key, UploadId: created.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(w.body)})
	if err != nil {
		return err
	}
	_, err = w.c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &w.key, UploadId: created.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}}})
	return err
}

func (w *writer) copy(t *testing.T) error {
	for source, body := range w.held {
		if body != nil && source != w.key {
			w.body = body
			_, err := w.c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: &w.key, CopySource: aws.String(bucket + "/" + source)})
			return err
		}
	}
	w.body = nil
	_, err := w.c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &w.key})
	return err
}

// check reads every key: the acknowledged bytes, or those of the operation that was cut off.
func (w *writer) check(t *testing.T) {
	t.Helper()
	for i := range 5 {
		key := fmt.Sprintf("%s/%d", w.prefix, i)
		out, err := w.c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
		var got []byte
		if err != nil {
			wantCode(t, err, "NoSuchKey")
		} else {
			got, err = io.ReadAll(out.Body)
			out.Body.Close()
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
		}
		there := err == nil && out != nil
		isHeld := there == (w.held[key] != nil) && bytes.Equal(got, w.held[key])
		isNew := key == w.key && there == (w.body != nil) && bytes.Equal(got, w.body)
		if !isHeld && !isNew {
			t.Errorf("%s holds %d bytes, neither what was acknowledged (%d) nor what was being written", key, len(got), len(w.held[key]))
		}
		w.held[key] = nil
		if there {
			w.held[key] = got
		}
	}
}

func TestKilledProcessLeavesTheOldOrTheNewObject(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewSource(1))
	writers := make([]*writer, 3)
	for i := range writers {
		writers[i] = &writer{random: rand.New(rand.NewSource(int64(i))), prefix: fmt.Sprint(i), held: map[string][]byte{}}
	}
	for round := range 8 {
		c, kill := startProcess(t, dir)
		if round == 0 {
			createBucket(t, c, bucket)
		}
		acknowledged := make(chan struct{})
		var running sync.WaitGroup
		for _, w := range writers {
			w.c = c
			if round > 0 {
				w.check(t)
			}
			running.Go(func() { w.run(t, acknowledged) })
		}
		go func() {
			for range 1 + random.Intn(20) {
				<-acknowledged
			}
			kill()
			for range acknowledged {
			}
		}()
		running.Wait()
		close(acknowledged)
		kill()
	}
	c, stop := serve(t, dir)
	for _, w := range writers {
		w.c = c
		w.check(t)
	}
	stop()
	checkNothingIsLeftOver(t, dir)
}

// checkNothingIsLeftOver wants exactly the blobs that the index names.
func checkNothingIsLeftOver(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var named int
	if err := db.QueryRow(`SELECT count(*) FROM (SELECT blob FROM segments UNION SELECT blob FROM parts)`).Scan(&named); err != nil {
		t.Fatal(err)
	}
	if n := blobCount(t, dir); n != named {
		t.Errorf("%d blobs are on disk, %d are named", n, named)
	}
}

func TestLeftoversAreSweptAtStart(t *testing.T) {
	dir := t.TempDir()
	c, stop := serve(t, dir)
	createBucket(t, c, bucket)
	put(t, c, "key", []byte("body"))
	stop()
	leftover := filepath.Join(dir, "blobs", "ab", "ab"+strings.Repeat("0", 30))
	if err := os.WriteFile(leftover, []byte("half an object"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir)
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a leftover is still there: %v", err)
	}
	if got := mustGet(t, c, "key"); string(got) != "body" {
		t.Errorf("got %q", got)
	}
}

func TestBrokenUploadKeepsThePreviousObject(t *testing.T) {
	c := newBackendClient(t)
	do(t, c, &proxy.BackendRequest{Method: "PUT", Bucket: bucket})
	do(t, c, &proxy.BackendRequest{Method: "PUT", Bucket: bucket, Key: "key", Body: strings.NewReader("previous"), Length: 8})
	errSource := errors.New("forged")
	const size = 1 << 20
	for range 3 {
		_, err := c.Do(t.Context(), access.SiteUser, &proxy.BackendRequest{
			Method: "PUT", Bucket: bucket, Key: "key", Length: size,
			Body: io.MultiReader(bytes.NewReader(make([]byte, size-1)), failing{errSource})})
		if !errors.Is(err, errSource) {
			t.Fatalf("got %v", err)
		}
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(do(t, c, &proxy.BackendRequest{Method: "GET", Bucket: bucket, Key: "key"}).Body); err != nil || body.String() != "previous" {
		t.Errorf("got %q, %v", body.String(), err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestLostBlobBreaksTheAnswer(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	createBucket(t, c, bucket)
	uploadParts(t, c, "key", 5<<20, 100)
	files, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%d blobs, %v", len(files), err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Size() == 100 {
			if err := os.Truncate(file, 50); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, _, err := get(t, c, &s3.GetObjectInput{Key: aws.String("key")}); err == nil {
		t.Error("half of the last part came back as all of it")
	}
}
