package export

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"cofre/proxy"
	"cofre/s3api"
)

// Names below the directory of an export.
const (
	aboutName  = "export.json" // which bucket it is of
	objectsDir = "objects"
	partialDir = "partial" // files that are not whole yet
	lockName   = ".lock"
)

// Directory writes objects to files. Nothing is ever written outside of it, whatever a key is and whatever links lie there.
type Directory struct {
	root     *os.Root
	lock     *os.File
	bucket   string
	prefix   string
	plans    planner
	previous *manifestReader
	manifest *manifestWriter
}

// OpenDirectory prepares a directory for objects of a bucket whose keys begin with prefix. It is made where there is none; one that
// an earlier run has begun is gone on with.
func OpenDirectory(dir, bucket, prefix string) (*Directory, error) {
	d := &Directory{bucket: bucket, prefix: prefix}
	if err := d.open(dir); err != nil {
		d.release()
		return nil, fmt.Errorf("open directory %s: %w", dir, err)
	}
	return d, nil
}

func (d *Directory) open(dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if d.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	if d.lock, err = d.root.OpenFile(lockName, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.New("another export writes there")
	}
	if err := d.sameBucket(); err != nil {
		return err
	}
	if err := errors.Join(d.root.RemoveAll(partialDir), d.root.MkdirAll(partialDir, 0o700), d.root.MkdirAll(objectsDir, 0o700)); err != nil {
		return err
	}
	if d.plans.folded, err = folds(d.root); err != nil {
		return err
	}
	if err := takePrevious(d.root, ""); err != nil {
		return err
	}
	if d.previous, err = openManifest(d.root, previousName); err != nil {
		return err
	}
	d.manifest, err = createManifest(d.root, manifestName)
	return err
}

// sameBucket notes which bucket the directory is of, and refuses a directory of another one.
func (d *Directory) sameBucket() error {
	type about struct {
		Bucket string `json:"bucket"`
	}
	doc, err := d.root.ReadFile(aboutName)
	if errors.Is(err, fs.ErrNotExist) {
		if doc, err = json.Marshal(about{d.bucket}); err == nil {
			err = d.root.WriteFile(aboutName, append(doc, '\n'), 0o600)
		}
		return err
	}
	var is about
	if err == nil {
		err = json.Unmarshal(doc, &is)
	}
	if err == nil && is.Bucket != d.bucket {
		err = fmt.Errorf("it holds an export of bucket %s", is.Bucket)
	}
	return err
}

// folds says whether the directory takes capital and small letters for the same.
func folds(root *os.Root) (bool, error) {
	f, err := root.Create(path.Join(partialDir, "Case"))
	if err != nil {
		return false, err
	}
	f.Close()
	_, err = root.Lstat(path.Join(partialDir, "cASE"))
	return err == nil, root.Remove(path.Join(partialDir, "Case"))
}

// Plan implements Destination.
func (d *Directory) Plan(key string) (Place, error) {
	names := d.plans.plan(key)
	at := Place{Key: key}
	var err error
	if at.kept, err = d.previous.upTo(key); err != nil {
		return at, err
	}
	at.Name = strings.Join(names, "/")
	if at.kept != nil {
		at.Name = string(at.kept.File) // where it is, it stays
	}
	return at, nil
}

// Has implements Destination: what an earlier run wrote of the same version and ETag, and is there in full.
func (d *Directory) Has(_ context.Context, at Place, o proxy.Object) (bool, error) {
	l := at.kept
	if l == nil || l.Version != o.VersionID || l.ETag != o.ETag || l.Size != o.Size || !l.LastModified.Equal(o.LastModified) {
		return false, nil
	}
	info, err := d.root.Lstat(path.Join(objectsDir, string(l.File)))
	return err == nil && info.Mode().IsRegular() && info.Size() == o.Size, nil
}

// Put implements Destination: the file has its name only when it is whole and durable.
func (d *Directory) Put(_ context.Context, at Place, o proxy.Object, _ []s3api.Tag, body io.Reader) (Place, error) {
	temp := path.Join(partialDir, rand.Text())
	err := d.write(temp, o, body)
	if err == nil {
		at.Name, err = d.settle(at.Name)
	}
	name := path.Join(objectsDir, at.Name)
	if err == nil {
		err = d.root.MkdirAll(path.Dir(name), 0o700)
	}
	if err == nil {
		err = d.root.Rename(temp, name)
	}
	if err != nil {
		_ = d.root.Remove(temp) // what is left is swept by the next run
		return at, err
	}
	return at, nil
}

// write writes a file that is whole and durable, under a name that is not its own yet.
func (d *Directory) write(temp string, o proxy.Object, body io.Reader) error {
	f, err := d.root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	n, err := io.Copy(f, body)
	if err == nil && n != o.Size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := d.root.Chtimes(temp, time.Now(), o.LastModified); err != nil {
		return fmt.Errorf("set time of file: %w", err)
	}
	return nil
}

// settle makes way for what earlier runs have left: a file where a folder is to be, a folder where the file is to be.
func (d *Directory) settle(name string) (string, error) {
	names := strings.Split(name, "/")
	for i := range names {
		info, err := d.root.Lstat(path.Join(objectsDir, path.Join(names[:i+1]...)))
		last := i == len(names)-1
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return strings.Join(names, "/"), nil
		case err != nil:
			return "", fmt.Errorf("look at %s: %w", names[i], err)
		case !last && !info.IsDir():
			names[i] += markFolder
		case last && info.IsDir():
			names[i] += markFile
		}
	}
	return strings.Join(names, "/"), nil
}

// Done implements Destination.
func (d *Directory) Done(at Place, o proxy.Object, tags []s3api.Tag) error {
	if err := d.manifest.add(lineOf(at, o, tags)); err != nil {
		return err
	}
	return d.manifest.flush()
}

// Close implements Destination. A run that came to its end has seen all that is there of its prefix; what the manifests before
// say of other keys stays. Of a run that did not, what it had not come to is still in theirs.
func (d *Directory) Close(complete bool) error {
	defer d.release()
	if err := d.manifest.end(); err != nil {
		return err
	}
	if complete && d.prefix == "" {
		if err := d.root.Remove(previousName); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	seen := ""
	if complete {
		seen = d.prefix
	}
	if err := takePrevious(d.root, seen); err != nil {
		return err
	}
	return d.root.Rename(previousName, manifestName)
}

func (d *Directory) release() {
	if d.previous != nil {
		d.previous.close()
	}
	if d.lock != nil {
		d.lock.Close()
	}
	if d.root != nil {
		d.root.Close()
	}
}

var _ Destination = (*Directory)(nil)
