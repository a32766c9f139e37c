package proxy

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"cofre/metadata"
	"cofre/metadata/sqlite"
)

func TestSweepForgetsOnlyWhatWasCompletedLongAgo(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	h := &Handler{store: store, log: zap.NewNop()}
	for _, id := range []string{"done", "open"} {
		if err := store.CreateUpload(t.Context(), metadata.Upload{ID: id, Bucket: "b", Key: "k"}); err != nil {
			t.Fatal(err)
		}
	}
	rec := metadata.Record{Bucket: "b", Key: "k", VersionID: metadata.NullVersion, Began: store.Now()}
	if err := store.SetIntent(t.Context(), "done", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := store.FinishUpload(t.Context(), "done", []byte("{}"), rec); err != nil {
		t.Fatal(err)
	}
	exists := func(id string) bool {
		_, err := store.Upload(context.Background(), "b", "k", id)
		return err == nil
	}
	h.sweepUploads(t.Context(), time.Now().Add(-completedKept))
	if !exists("done") || !exists("open") {
		t.Fatal("an upload completed a moment ago was forgotten")
	}
	h.sweepUploads(t.Context(), time.Now().Add(time.Minute))
	if exists("done") || !exists("open") {
		t.Fatal("the completed upload is still there, or the open one is gone")
	}
}
